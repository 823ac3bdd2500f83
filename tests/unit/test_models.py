import pytest
import torch

from medlstm.models.heads import RegressionHead
from medlstm.models.inputs import ClinicalInputs
from medlstm.models.lstm import LstmModel, last_valid, valid_steps


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LstmModel(ClinicalInputs(3, 2, [2, 4], bin_hours=1), hidden_units=8, layers=2, dropout=0.2).eval()


def _stays(count, length):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, length, 3, generator=generator)
    values[torch.rand(values.shape, generator=generator) < 0.5] = torch.nan
    numeric = torch.randn(count, 2, generator=generator)
    numeric[0, 0] = torch.nan
    codes = torch.tensor([[0, 3], [1, -1]]).repeat(count, 1)[:count]
    elapsed = torch.arange(1, length + 1).float().expand(count, -1)
    return values, numeric, codes, elapsed


def test_forward_fill_carries_the_last_value_and_its_age():
    values = torch.tensor([[[torch.nan], [2.0], [torch.nan], [torch.nan]]])
    inputs = ClinicalInputs(1, 0, [], bin_hours=4)
    features = inputs(values, torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.long), torch.zeros(1, 4))
    assert features[0, :, 0].tolist() == [0.0, 2.0, 2.0, 2.0]
    assert features[0, :, 1].tolist() == [0.0, 1.0, 0.0, 0.0]
    gap = features[0, :, 2]
    assert gap[0] == 1.0
    assert gap[1] == 0.0
    assert 0 < gap[2] < gap[3] < 1


def test_clip_limits_hold_back_an_outlier():
    inputs = ClinicalInputs(1, 0, [], bin_hours=1)
    inputs.upper.fill_(200.0)
    features = inputs(
        torch.tensor([[[7200.0]]]), torch.zeros(1, 0), torch.zeros(1, 0, dtype=torch.long), torch.ones(1, 1)
    )
    assert features[0, 0, 0] == 200.0


def test_a_stay_scores_the_same_alone_in_a_batch_and_under_padding(model):
    values, numeric, codes, elapsed = _stays(5, 12)
    together = model(values, numeric, codes, elapsed)
    for index in range(5):
        one = slice(index, index + 1)
        alone = model(values[one, :7], numeric[one], codes[one], elapsed[one, :7])
        torch.testing.assert_close(alone[0], together[index, :7], rtol=0, atol=1e-6)


def test_a_later_value_changes_no_earlier_output(model):
    values, numeric, codes, elapsed = _stays(2, 10)
    before = model(values, numeric, codes, elapsed)
    values[:, 6:] = 99.0
    after = model(values, numeric, codes, elapsed)
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=0)
    assert not torch.equal(before[:, 6:], after[:, 6:])


def test_last_valid_step_is_gathered():
    outputs = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert last_valid(outputs, torch.tensor([1, 3])).tolist() == [1.0, 6.0]
    assert valid_steps(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize("name", ["smooth_log", "mse", "mae", "msle"])
def test_head_decodes_what_it_encodes_and_perfect_output_costs_nothing(name):
    head = RegressionHead(name)
    days = torch.tensor([0.0, 0.5, 12.0])
    torch.testing.assert_close(head.decode(head.encode(days)), days)
    assert head.loss(head.encode(days), days, torch.zeros(3, dtype=torch.bool)).abs().max() < 1e-6


@pytest.mark.parametrize("name", ["smooth_log", "mse", "mae", "msle"])
def test_censored_step_costs_only_below_what_is_known_to_remain(name):
    head = RegressionHead(name)
    output = head.encode(torch.tensor([1.0, 9.0])).requires_grad_()
    head.loss(output, torch.tensor([4.0, 4.0]), torch.tensor([True, True])).sum().backward()
    assert output.grad is not None
    assert output.grad[0] < 0
    assert output.grad[1] == 0


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        RegressionHead("mse").loss(torch.zeros(4, 1), torch.zeros(4), torch.zeros(4, dtype=torch.bool))
