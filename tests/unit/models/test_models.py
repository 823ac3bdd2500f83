import numpy as np
import pytest
import torch

from medlstm.models.augmentation import rare_variables, sampled_less_often
from medlstm.models.ensemble import Ensemble, build_member
from medlstm.models.inputs import ClinicalInputs, unskewed
from medlstm.models.spec import ModelSpec
from medlstm.models.step_network import StepNetwork
from medlstm.models.summaries import BRANCH_STATISTICS, TABLE_STATISTICS, branch_summaries, table_features
from medlstm.models.table_member import TableMember, TableRows
from medlstm.sequences.batches import RawBatch, valid_steps
from medlstm.settings.model_names import BLEND_PARTS, model_names

NETWORKS = ("lstm", "lstm_attention", "cnn_lstm", "rnn", "gru", "mlp", "cnn")
EDGES = (0.0, 0.5, 1.5, 3.0, 6.0, 12.0)


def _spec(name, **changes):
    base = {
        "name": name, "head": "hazard", "inputs": "clinical", "hidden_units": 8, "layers": 2, "dropout": 0.2,
        "members": 1, "summaries": True, "mortality": True, "edges_days": EDGES, "tail_days": 5.0,
        "variables": ("hr", "temp", "bun"), "numeric": ("age", "height"),
        "categories": {"gender": ("f", "m"), "ward": ("a", "b", "c", "d")}, "bin_hours": 1, "single_step": False,
        "two_ends": True,
    }  # fmt: skip
    return ModelSpec(**(base | {"parts": BLEND_PARTS if name == "blend" else ()} | changes))


def _stays(count, length):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, length, 3, generator=generator, dtype=torch.float64)
    values[torch.rand(values.shape, generator=generator) < 0.5] = torch.nan
    numeric = torch.randn(count, 1, 2, generator=generator, dtype=torch.float64)
    numeric[0, 0, 0] = torch.nan
    codes = torch.tensor([[0, 3], [1, -1]]).repeat(count, 1)[:count].unsqueeze(1)
    elapsed = torch.arange(1, length + 1, dtype=torch.float64).expand(count, -1)
    return RawBatch(values, numeric, codes, elapsed)


def _changing(count, length):
    """Stays whose features change at step 3, with values that are late and one that is forgotten."""
    batch = _stays(count, length)
    later = (torch.arange(length) >= 3).view(1, -1, 1)
    late = torch.zeros_like(batch.values)
    late[:, 4] = 20.0
    late[0, 5, 0] = torch.inf
    batch.values[0, 5, 0] = torch.nan
    return batch._replace(
        numeric=batch.numeric + later * 2.0, codes=torch.where(later, 1 - batch.codes.clamp(0, 1), batch.codes),
        late_hours=late,
    )  # fmt: skip


def _shortened(batch, rows, steps):
    """Some of the stays, up to so many steps."""
    statics = [one[rows] if one.shape[1] == 1 else one[rows, :steps] for one in (batch.numeric, batch.codes)]
    late = None if batch.late_hours is None else batch.late_hours[rows, :steps]
    return RawBatch(batch.values[rows, :steps], *statics, batch.elapsed_hours[rows, :steps], late)


def _table_rows(member):
    """Rows whose answer is in the first variable, a third of them censored."""
    generator = torch.Generator().manual_seed(2)
    batch = _stays(300, 6)
    row = torch.arange(300)
    features = member.rows_at(batch, row, torch.full((300,), 5))
    days = torch.exp(torch.nan_to_num(features[:, 0]) + 0.3 * torch.randn(300, generator=generator).double())
    died = (torch.nan_to_num(features[:, 1]) > 0.5).double()
    return TableRows(features, days, torch.rand(300, generator=generator) < 0.3, died)


def _member(name):
    torch.manual_seed(0)
    member = build_member(_spec(name))
    parts = member.each_part() if name == "blend" else (member,)
    for part in parts:
        if isinstance(part, TableMember):
            part.fit_rows(_table_rows(part), seed=0)
    return member.double().eval()


@pytest.fixture(scope="module")
def members():
    return {name: _member(name) for name in model_names()}


def test_accelerated_failure_time_finds_the_weights_though_the_long_stays_are_cut():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(6000, 3, generator=generator).double()
    error = torch.logit(torch.rand(6000, generator=generator).double()) * 0.3
    days = torch.expm1((table @ torch.tensor([0.5, -0.3, 0.0]).double() + 1.5 + error).clamp(min=0.01))
    followup = 8 * torch.rand(6000, generator=generator).double()
    member = build_member(_spec("aft", two_ends=False))
    member.fit_days(table, TableRows(table, torch.minimum(days, followup), days > followup, torch.zeros(6000)))
    torch.testing.assert_close(member.weights, torch.tensor([0.5, -0.3, 0.0]).double(), atol=0.06, rtol=0)
    assert float(member.bias) == pytest.approx(1.5, abs=0.06)
    assert float(member.error_scale) == pytest.approx(0.3, abs=0.03)


def test_all_named_models_are_there():
    assert set(model_names()) == {*NETWORKS, "median", "ridge", "aft", "gbm", "extra_trees", "blend"}
    with pytest.raises(ValueError, match="known are"):
        build_member(_spec("lsmt"))


def _without_statics(values, late_hours=None):
    """One stay's values [1, T, V] with no features, five hours in."""
    nothing, codes = torch.zeros(1, 1, 0, dtype=values.dtype), torch.zeros(1, 1, 0, dtype=torch.long)
    return RawBatch(values, nothing, codes, torch.full(values.shape[:2], 5.0, dtype=values.dtype), late_hours)


def test_the_age_of_a_late_value_counts_from_when_it_was_observed():
    nan = torch.nan
    at = torch.tensor([[[nan], [2.0], [nan], [nan], [nan], [nan]]])
    came = torch.tensor([[[nan], [nan], [nan], [2.0], [nan], [nan]]])
    late = torch.zeros_like(came)
    late[0, 3] = 8.0
    inputs = ClinicalInputs(1, 0, [], bin_hours=4)
    in_time, later = inputs(_without_statics(at))[0], inputs(_without_statics(came, late))[0]
    assert later[:, 0].tolist() == [0, 0, 0, 2, 2, 2]
    assert later[:, 1].tolist() == [0, 0, 0, 1, 0, 0]
    assert torch.equal(later[3:, 2], in_time[3:, 2])
    assert (later[:3, 2] == 1).all()


def test_what_was_taken_back_is_not_carried_forward():
    nan = torch.nan
    values = torch.tensor([[[2.0], [nan], [nan], [3.0], [nan]]])
    late = torch.zeros_like(values)
    late[0, 1] = torch.inf
    features = ClinicalInputs(1, 0, [], bin_hours=4)(_without_statics(values, late))[0]
    assert features[:, 0].tolist() == [2, 0, 0, 3, 3]
    assert features[:, 1].tolist() == [1, 0, 0, 1, 0]
    assert features[:, 2].tolist() == pytest.approx([0, 1, 1, 0, float(features[4, 2])])
    assert 0 < features[4, 2] < 1


def test_forward_fill_carries_the_last_value_and_its_age():
    values = torch.tensor([[[torch.nan], [2.0], [torch.nan], [torch.nan]]])
    inputs = ClinicalInputs(1, 0, [], bin_hours=4)
    features = inputs(_without_statics(values))
    assert features[0, :, 0].tolist() == [0.0, 2.0, 2.0, 2.0]
    assert features[0, :, 1].tolist() == [0.0, 1.0, 0.0, 0.0]
    gap = features[0, :, 2]
    assert gap[0] == 1.0
    assert gap[1] == 0.0
    assert 0 < gap[2] < gap[3] < 1


def test_clip_limits_hold_back_an_outlier():
    inputs = ClinicalInputs(1, 0, [], bin_hours=1)
    inputs.upper.fill_(200.0)
    features = inputs(_without_statics(torch.tensor([[[7200.0]]])))
    assert features[0, 0, 0] == 200.0


def test_skewed_variables_are_logged_and_others_left():
    values = torch.tensor([[1.0, 1.0], [torch.nan, torch.nan]])
    even = unskewed(values, torch.tensor([3.0, torch.inf]))
    assert even[0].tolist() == pytest.approx([np.log(4.0), 1.0])
    assert torch.isnan(even[1]).all()


def test_summaries_so_far_by_hand():
    nan = float("nan")
    values = torch.tensor([[[nan], [2.0], [nan], [6.0]]], dtype=torch.float64)
    inputs = ClinicalInputs(1, 0, [], bin_hours=24).double()
    observed = inputs.observe(values)
    mean, most, least, spread, change, ever = branch_summaries(observed)[0].T
    assert mean.tolist() == [0, 2, 2, 4]
    assert most.tolist() == [0, 2, 2, 6]
    assert least.tolist() == [0, 2, 2, 2]
    assert spread.tolist() == [0, 0, 0, 2]
    assert change.tolist() == [0, 0, 0, 4]
    assert ever.tolist() == [0, 1, 1, 1]
    assert branch_summaries(observed).shape[-1] == BRANCH_STATISTICS
    row = table_features(inputs, _without_statics(values), torch.zeros(4, dtype=torch.long), torch.arange(4))
    # last, mean, minimum, maximum, spread, first, day mean, day change, age, count, spread of changes, elapsed hours
    assert row[3].tolist() == pytest.approx([6, 4, 2, 6, 2, 2, 6, 2, 0, np.log(3), nan, 5], nan_ok=True)
    assert torch.isnan(row[0, :8]).all()
    assert torch.isnan(row[2, 6])


def test_the_spread_of_changes_is_that_of_the_differences_between_consecutive_values():
    nan = float("nan")
    series = [nan, 2.0, nan, 6.0, 5.0, nan, 1.0]
    values = torch.tensor(series, dtype=torch.float64).view(1, -1, 1)
    inputs = ClinicalInputs(1, 0, [], bin_hours=24).double()
    batch = _without_statics(values)
    column = TABLE_STATISTICS.index("change_spread")
    # Many steps of one stay are summed up running, a single one as a whole.
    running = table_features(inputs, batch, torch.zeros(7, dtype=torch.long), torch.arange(7))[:, column]
    for step in range(7):
        known = [one for one in series[: step + 1] if not np.isnan(one)]
        alone = table_features(inputs, batch, torch.zeros(1, dtype=torch.long), torch.tensor([step]))[0, column]
        for said in (running[step], alone):
            if len(known) < 3:
                assert torch.isnan(said)
            else:
                assert float(said) == pytest.approx(np.diff(known).std())


def test_branch_summaries_do_not_depend_on_how_often_the_same_was_measured():
    inputs = ClinicalInputs(1, 0, [], bin_hours=1)
    often = torch.tensor([[[3.0], [3.0], [5.0], [5.0]]])
    seldom = torch.tensor([[[3.0], [torch.nan], [5.0], [torch.nan]]])
    torch.testing.assert_close(
        branch_summaries(inputs.observe(often))[0, -1], branch_summaries(inputs.observe(seldom))[0, -1]
    )


@pytest.mark.parametrize("made", [_stays, _changing])
@pytest.mark.parametrize("name", model_names())
def test_a_stay_scores_the_same_alone_in_a_batch_and_under_padding(members, name, made):
    batch = made(5, 12)
    row, step = torch.arange(5), torch.full((5,), 6)
    together = members[name].at(batch, row, step)
    for index in range(5):
        alone = members[name].at(
            _shortened(batch, slice(index, index + 1), 7), torch.zeros(1, dtype=torch.long), step[:1]
        )
        for mine, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(mine[0], theirs[index], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", model_names())
def test_a_later_value_or_feature_changes_no_earlier_output(members, name):
    batch = _changing(2, 10)
    row, step = torch.arange(2).repeat_interleave(6), torch.arange(6).repeat(2)
    before = members[name].at(batch, row, step)
    changed = RawBatch(*(one.clone() for one in batch))
    changed.values[:, 6:] = 99.0
    changed.elapsed_hours[:, 6:] += 5
    changed.numeric[:, 6:] += 7
    changed.codes[:, 6:] = 0
    changed.late_hours[:, 6:] = torch.inf
    after = members[name].at(changed, row, step)
    for mine, theirs in zip(before, after, strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("name", [name for name in model_names() if name != "median"])
def test_the_present_does_change_the_output(members, name):
    batch, last = _stays(4, 10), torch.full((4,), 9)
    before = members[name].at(batch, torch.arange(4), last)
    batch.values[:, 8:] = 3.0
    after = members[name].at(batch, torch.arange(4), last)
    assert not torch.equal(before.survival, after.survival)


@pytest.mark.parametrize("name", [*NETWORKS, "ridge", "blend"])
def test_a_feature_that_changed_changes_the_output(members, name):
    batch, last = _changing(4, 10), torch.full((4,), 9)
    after = members[name].at(batch, torch.arange(4), last)
    as_at_first = batch._replace(numeric=batch.numeric[:, :1], codes=batch.codes[:, :1])
    before = members[name].at(as_at_first, torch.arange(4), last)
    assert not torch.equal(before.survival, after.survival)


@pytest.mark.parametrize("name", model_names())
def test_every_model_gives_a_falling_survival_curve_and_a_risk(members, name):
    said = members[name].at(_stays(4, 5), torch.arange(4), torch.full((4,), 4))
    assert said.survival.shape == (4, len(EDGES))
    assert (said.survival[:, 0] == 1).all()
    assert (said.survival.diff(dim=1) <= 0).all()
    assert ((said.mortality >= 0) & (said.mortality <= 1)).all()
    assert (said.days >= 0).all()


@pytest.mark.parametrize("head", ["quantile", "smooth_log", "mse", "mae", "msle"])
def test_every_head_fits_the_network(head):
    network = build_member(_spec("lstm", head=head, summaries=False, mortality=False)).eval()
    assert isinstance(network, StepNetwork)
    said = network.at(_stays(3, 4).as_type(torch.float32), torch.arange(3), torch.full((3,), 3))
    assert said.days.shape == (3,)
    assert (said.survival is not None) == (head == "quantile")


def test_an_ensemble_is_the_mean_of_its_members():
    torch.manual_seed(0)
    ensemble = Ensemble(_spec("lstm", members=3)).double().eval()
    batch, row, step = _stays(4, 5), torch.arange(4), torch.full((4,), 4)
    each = [member.at(batch, row, step) for member in ensemble.each()]
    together = ensemble.at(batch, row, step)
    torch.testing.assert_close(together.survival, torch.stack([one.survival for one in each]).mean(0))
    torch.testing.assert_close(together.mortality, torch.stack([one.mortality for one in each]).mean(0))


def test_augmentation_ends_rare_variables_and_misses_values_but_adds_none():
    values = torch.ones(200, 10, 2)
    values[:, ::5, 1] = 2.0
    values[:, 1:5, 1] = torch.nan
    values[:, 6:, 1] = torch.nan
    rare = rare_variables(values.reshape(-1, 2))
    assert rare.tolist() == [False, True]
    steps = torch.full((200,), 10)
    cut = sampled_less_often(values, steps, rare, 1.0, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(cut[..., 0], values[..., 0])
    kept = ~torch.isnan(cut[..., 1])
    assert 0 < kept.sum() < (~torch.isnan(values[..., 1])).sum()
    assert (kept[:, 5] <= kept[:, 0]).all()
    missed = sampled_less_often(values, steps, rare, 0.0, 0.4, torch.Generator().manual_seed(0))
    share = torch.isnan(missed[..., 0]).float().mean()
    assert 0.1 < share < 0.3
    assert torch.isnan(missed[torch.isnan(values)]).all()


def test_valid_steps():
    assert valid_steps(torch.tensor([1, 3]), 3).tolist() == [[True, False, False], [True, True, True]]
