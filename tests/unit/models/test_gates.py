import pytest
import torch
from torch import nn

from medlstm.models.gates import activations, cell_step, hidden_states, weights_of

BATCH, STEPS, FEATURES, HIDDEN = 4, 9, 5, 6


def _lstm(layers, bias=True):
    torch.manual_seed(layers)
    lstm = nn.LSTM(FEATURES, HIDDEN, layers, batch_first=True, bias=bias, dtype=torch.float64)
    with torch.no_grad():
        for weights in lstm.parameters():
            weights.mul_(3)
    return lstm


def _features():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, STEPS, FEATURES, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_the_equations_give_what_torch_gives_in_values_and_gradients(layers, bias):
    lstm, features = _lstm(layers, bias), _features()
    theirs, (last_hidden, last_cell) = lstm(features)
    layer_by_layer = activations(lstm, features)
    mine = layer_by_layer[-1].hidden
    assert len(layer_by_layer) == layers
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
    for layer, of_layer in enumerate(layer_by_layer):
        torch.testing.assert_close(of_layer.hidden[:, -1], last_hidden[layer], atol=1e-6, rtol=0)
        torch.testing.assert_close(of_layer.cell[:, -1], last_cell[layer], atol=1e-6, rtol=0)
    # An uneven loss, in which every step and unit counts differently.
    share = torch.linspace(0.5, 2, theirs.numel(), dtype=torch.float64).view_as(theirs)
    wanted = [features, *lstm.parameters()]
    my_gradients = torch.autograd.grad((share * mine.square()).sum(), wanted)
    their_gradients = torch.autograd.grad((share * theirs.square()).sum(), wanted)
    for my_gradient, their_gradient in zip(my_gradients, their_gradients, strict=True):
        assert their_gradient.abs().max() > 1e-3
        torch.testing.assert_close(my_gradient, their_gradient, atol=1e-6, rtol=0)


def test_activations_have_a_row_for_every_step_and_stay_in_their_ranges():
    lstm, features = _lstm(2), _features()
    for one in activations(lstm, features):
        assert {tensor.shape for tensor in one} == {(BATCH, STEPS, HIDDEN)}
        for gate in (one.forget, one.input, one.output):
            assert ((gate > 0) & (gate < 1)).all()
        assert (one.candidate.abs() < 1).all()
        torch.testing.assert_close(one.hidden, one.output * torch.tanh(one.cell))
        torch.testing.assert_close(one.cell[:, 1:], one.forget[:, 1:] * one.cell[:, :-1]
                                   + one.input[:, 1:] * one.candidate[:, 1:])  # fmt: skip
    assert hidden_states(lstm, features).equal(activations(lstm, features)[-1].hidden)


def test_a_step_goes_on_from_any_state():
    lstm, features = _lstm(1), _features()
    before, state = lstm(features[:, :4])
    after, _ = lstm(features[:, 4:5], state)
    step = cell_step(features[:, 4], before[:, -1], state[1][0], weights_of(lstm)[0])
    torch.testing.assert_close(step.hidden, after[:, 0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("more", [{"bidirectional": True}, {"proj_size": 2}])
def test_an_lstm_of_another_kind_is_refused(more):
    with pytest.raises(ValueError, match="more than the six equations"):
        activations(nn.LSTM(FEATURES, HIDDEN, **more), _features().float())
