from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from benchmarks.promise import points_with_truth, to_test_patients
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


def test_what_was_promised_and_delivered_to_test_patients_and_the_range_of_as_many_others():
    stays = np.repeat([f"s{number}" for number in range(10)], [1, 1, *[3] * 8])
    errors = np.where(np.isin(stays, ["s0", "s1"]), [2.0], 5.0)
    split = np.where(np.isin(stays, ["s0", "s1"]), "test", "train")
    stored = pd.DataFrame({"stay_id": stays, "split": split, "remaining_los_days": errors,
                           "actual_days": np.zeros(len(stays))})  # fmt: skip
    models = [{"promised_mae_days": 1.0, "to_test_patients": 1}, {"promised_mae_days": 3.0, "to_test_patients": 1}]
    found = to_test_patients(stored, models)
    assert found["test_patients_stays"] == 2
    assert found["to_test_patients_promised_mae_days"] == 2.0
    assert found["to_test_patients_delivered_mae_days"] == 2.0
    assert found["to_test_patients_delivered_by_promised"] == 1.0
    # Two of ten drawn: both easy ones once in 45 draws, one of them and one other (2 + 3 * 5) / 4 in 16.
    assert found["drawn_mae_days"] == pytest.approx([(2 + 3 * 5) / 4, 5.0], abs=1e-9)
    assert found["as_low_by_chance"] == pytest.approx(1 / 45, abs=0.01)
