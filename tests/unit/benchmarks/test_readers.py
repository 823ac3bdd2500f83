import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy_eicu import assign_folds, features_of, hours_of
from benchmarks.eicu_layout import points_of, read_folder
from benchmarks.physionet2012 import read_sets


def _record(number, rows):
    descriptors = [("00:00", "RecordID", number), ("00:00", "Age", 70), ("00:00", "Gender", 1),
                   ("00:00", "Height", -1), ("00:00", "ICUType", 3), ("00:00", "Weight", -1)]  # fmt: skip
    lines = [f"{clock},{name},{value}" for clock, name, value in [*descriptors, *rows]]
    return "\n".join(["Time,Parameter,Value", *lines]) + "\n"


def test_physionet_records_become_forty_eight_hours_with_the_last_value_of_each(tmp_path):
    folder = tmp_path / "set-a"
    folder.mkdir()
    (folder / "1.txt").write_text(_record(1, [("00:07", "HR", 80), ("00:50", "HR", 90), ("47:59", "pH", 7.3)]))
    (folder / "2.txt").write_text(_record(2, [("03:00", "", 5), ("03:10", "HR", 1.2e2), ("48:00", "HR", 60)]))
    (tmp_path / "Outcomes-a.txt").write_text(
        "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n1,6,1,5,-1,0\n2,6,1,-1,-1,1\n"
    )
    sequences = read_sets(tmp_path, ["a"])
    assert sequences.variables == ("HR", "pH")
    assert sequences.steps.tolist() == [48, 48]
    assert list(zip(sequences.stay.tolist(), sequences.step.tolist(), strict=True)) == [(0, 0), (0, 47), (1, 3)]
    assert sequences.values[:, 0][[0, 2]].tolist() == [90, 120]
    assert sequences.stays["is_open"].tolist() == [False, True]
    assert sequences.stays["duration_hours"].tolist() == [120, 48]
    assert sequences.stays["died"].tolist() == [False, True]
    assert np.isnan(sequences.stays["height"]).all()
    with pytest.raises(ValueError, match=r"set-b\.tar\.gz"):
        read_sets(tmp_path, ["b"])


def test_eicu_hours_have_the_remaining_stay_of_their_label(tmp_path):
    times = pd.to_timedelta([0, 1, 2, 0, 1], unit="h")
    ids = [7, 7, 7, 3, 3]
    pd.DataFrame({"stay_id": ids, "time": times, "hr": [80, np.nan, 82, 60, 61]}).to_parquet(tmp_path / "dyn.parquet")
    pd.DataFrame({"stay_id": ids, "time": times, "label": [2.0, 1, 0, 168, 168]}).to_parquet(tmp_path / "outc.parquet")
    pd.DataFrame({"stay_id": [3, 7], "age": [50.0, 60], "sex": ["F", "M"]}).to_parquet(tmp_path / "sta.parquet")
    sequences, labelled = read_folder(tmp_path)
    assert sequences.stays["stay_id"].tolist() == ["3", "7"]
    assert sequences.stays["age"].tolist() == [50, 60]
    assert sequences.stays["is_open"].tolist() == [True, False]
    points = points_of(sequences)
    assert (24 * points.remaining_days).tolist() == [169, 168, 2, 1, 0]
    assert labelled.remaining_hours.tolist() == [168, 168, 2, 1, 0]
    assert features_of(sequences) == {"numeric": ["age"], "categorical": ["sex"]}
    second = hours_of(labelled, np.array([False, True]))
    assert second.stay.tolist() == [0, 0, 0]
    (tmp_path / "sta.parquet").unlink()
    with pytest.raises(ValueError, match=r"sta\.parquet"):
        read_folder(tmp_path)


def test_folds_are_even_and_the_same_each_time():
    ids = pd.Series([str(number) for number in range(23)])
    fold = assign_folds(ids)
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    assert (fold == assign_folds(ids)).all()
