from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from benchmarks.promise import points_with_truth, promised_shares, to_promised_patients
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


def test_what_was_promised_and_delivered_to_the_patients_of_the_promise():
    # Twenty times four stays, with 1, 3, 2 and 4 predictions.
    counts = np.tile([1, 3, 2, 4], 20)
    kinds = np.repeat(np.tile(["test", "train", "validation", "calibration"], 20), counts)
    errors = {"test": 2.0, "train": 5.0, "validation": 1.0, "calibration": 90.0}
    stored = pd.DataFrame({
        "stay_id": np.repeat([f"s{number}" for number in range(80)], counts), "split": kinds,
        "remaining_los_days": [errors[kind] for kind in kinds], "actual_days": np.zeros(len(kinds)),
        "model_version": np.where(np.isin(kinds, ["test", "train"]), "old", "new"),
    })  # fmt: skip
    found = to_promised_patients(stored, {"old": 2.0, "new": 4.0}, {"test": 1.0, "validation": 1.0, "train": 0.5})
    weight = 1 + 1.5 + 2
    assert found["to_promised_patients_delivered_mae_days"] == pytest.approx((2 + 7.5 + 2) / weight)
    assert found["to_promised_patients_promised_mae_days"] == pytest.approx((2 + 3 + 8) / weight)
    assert found["to_promised_patients_delivered_by_promised"] == pytest.approx(11.5 / 13)
    low, high = found["by_chance"]
    assert 0.5 < low < 11.5 / 13 - 0.1
    assert 11.5 / 13 + 0.1 < high < 1.4


def test_a_promise_is_of_test_and_validation_patients_and_of_the_members_own():
    config = parse_config({"source": {"format": "physionet2012"}}, {}, "test")
    assert promised_shares(config, 5) == pytest.approx({"test": 1.0, "validation": 1.0, "train": 4 / 7})
    assert promised_shares(config, 1)["train"] == 0.0
