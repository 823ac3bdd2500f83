from datetime import date

import pyarrow as pa
import pytest

from medlstm.contracts.output_checks import check_predictions, check_sequences
from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.errors import ContractStopped
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace, read_table, write_table
from medlstm.lake.schemas import PREDICTIONS_SCHEMA
from medlstm.sequences.build import build_sequences
from tests.unit.test_late_and_corrected import CONFIG, DAYS, _drop, _lab, _stay

DAY = date(2026, 1, 1)
GOOD = {
    "stay_id": "a", "as_of": DAY, "elapsed_days": 1.0, "remaining_los_days": 2.0, "remaining_los_days_lower": 1.0,
    "remaining_los_days_upper": 4.0, "interval_coverage": 0.9, "los_days": 3.0, "model_version": "v", "stale": False,
    "reasons": [], "input_hash": "h", "baseline_remaining_days": 2.0,
}  # fmt: skip


def _predictions(*changes):
    rows = [GOOD | {"stay_id": f"s{index}"} | change for index, change in enumerate(changes)]
    return pa.Table.from_pylist(rows, schema=PREDICTIONS_SCHEMA)


def test_sound_predictions_pass_and_odd_ones_warn(tmp_path):
    report = check_predictions(_predictions({}, {"remaining_los_days": 400.0, "remaining_los_days_upper": 500.0}), DAY,
                               CONFIG, tmp_path)  # fmt: skip
    assert {one.rule: one.rows for one in report.rules if one.rows} == {"remaining_stay_over_a_year": 1}
    assert check_predictions(_predictions(), DAY, CONFIG, tmp_path).rows_in == 0


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"remaining_los_days": -1.0, "remaining_los_days_lower": -2.0}, "remaining_los_days_impossible"),
        ({"remaining_los_days_lower": 3.0}, "lower_above_point"),
        ({"remaining_los_days_upper": 1.5}, "upper_below_point"),
        ({"stay_id": "s0"}, "stay_scored_twice"),
        ({"input_hash": None}, "input_hash_missing"),
        ({"remaining_los_days": float("nan")}, "remaining_los_days_missing"),
    ],
)
def test_a_wrong_prediction_stops_the_night(tmp_path, change, rule):
    with pytest.raises(ContractStopped, match=f"predictions: rule {rule} stops the night"):
        check_predictions(_predictions({}, change), DAY, CONFIG, tmp_path)


@pytest.fixture
def place(tmp_path):
    workspace = Workspace(tmp_path)
    _drop(workspace, DAYS[0], stays=_stay(DAYS[0]) + _stay(DAYS[0], stay="b"), labs=_lab(DAYS[0], 1, 80))
    ingest_date(workspace, DAYS[0], CONFIG)
    validate_date(workspace, DAYS[0], CONFIG)
    build_sequences(workspace, DAYS[0], CONFIG, "all")
    return workspace


def test_sequences_are_held_against_their_suite_before_training(place):
    report = check_sequences(place, DAYS[0], CONFIG)
    assert report.rows_in == 2
    assert {one.rule: one.rows for one in report.rules if one.rows} == {"stay_without_observations": 1}


def test_a_step_outside_its_stay_stops(place):
    for path in place.sequences(DAYS[0]).glob("steps-*.parquet"):
        table = read_table(path)
        step = pa.array([99] * table.num_rows, pa.int32())
        write_table(table.set_column(table.column_names.index("step"), "step", step), path)
    with pytest.raises(ContractStopped, match="sequences: rule step_outside_stay stops the night: 1 rows"):
        check_sequences(place, DAYS[0], CONFIG)


def test_an_upper_bound_that_nobody_could_tell_is_allowed_and_one_that_is_wrong_is_not(tmp_path):
    untold = {"remaining_los_days_upper": None}
    check_predictions(_predictions(untold, untold), DAY, CONFIG, tmp_path)
    with pytest.raises(ContractStopped):
        check_predictions(_predictions(untold, {"remaining_los_days_upper": 1.0}), DAY, CONFIG, tmp_path)
