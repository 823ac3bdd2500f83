from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from benchmarks.delivered import Said, discharges, points_with_truth, reliability, scores
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import parse_config

NIGHT = date(2026, 1, 4)


def test_the_truth_of_a_night_is_what_the_outcomes_say_also_of_a_stay_that_is_still_open():
    admitted = pd.Timestamp(datetime(2026, 1, 1, 6, tzinfo=UTC)).as_unit("us")
    stays = pd.DataFrame({
        "stay_id": ["a", "b"], "patient_id": ["a", "b"], "admitted_at": [admitted, admitted],
        "duration_hours": [48.0, 90.0], "is_open": [False, True],
    })  # fmt: skip
    sequences = StaySequences(
        stays, ("x",), 2, False, np.array([24, 45]), np.zeros(2, dtype=int), np.array([0, 1]), np.array([0, 0]),
        np.zeros((2, 1), dtype=np.float32),
    )  # fmt: skip
    truth = pd.DataFrame({"los_days": [2.0, 10.0], "died": [False, True]}, index=["a", "b"])
    config = parse_config({"source": {"format": "physionet2012"}}, {}, "test")
    points, actual = points_with_truth(sequences, config, NIGHT, truth)
    # Admitted at six in the morning: midnights come 18, 42, 66 and 90 hours later.
    assert list(zip(points.stay.tolist(), (24 * actual).tolist(), strict=True)) == [
        (0, 30.0), (0, 6.0), (1, 222.0), (1, 198.0), (1, 174.0)
    ]  # fmt: skip


def test_scores_by_hand():
    said = Said(
        days=np.array([1.0, 3.0]), mean_days=np.array([1.5, 4.0]), lower=np.array([0.0, 2.0]),
        upper=np.array([2.0, np.inf]), leaves=np.array([[0.5, 0.7, 0.9], [0.1, 0.2, 0.3]]), risk=np.array([0.1, 0.9]),
    )  # fmt: skip
    found = scores(said, np.array([0.5, 1.5]), np.array([False, True]))
    assert found["mae_days"] == 1.0
    assert found["coverage"] == 0.5
    assert (found["width_days"], found["upper_bound_known"]) == (2.0, 0.5)
    assert np.isclose(found["brier_24h"], (0.25 + 0.01) / 2)
    assert np.isclose(found["brier_48h"], (0.09 + 0.64) / 2)
    assert found["mortality_auroc"] == 1.0


def test_reliability_is_in_tenths_by_what_was_said():
    tenths = reliability(np.arange(100) / 100, np.arange(100) >= 50)
    assert [one["predictions"] for one in tenths] == [10] * 10
    assert [one["happened"] for one in tenths] == [0.0] * 5 + [1.0] * 5
    assert np.isclose(tenths[0]["said"], 0.045)


def test_stays_of_unknown_length_have_no_truth(tmp_path):
    path = tmp_path / "Outcomes-x.txt"
    path.write_text("RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n1,6,1,5,-1,0\n2,6,1,-1,-1,1\n")
    assert discharges(path).to_dict("index") == {"1": {"los_days": 5.0, "died": False}}
