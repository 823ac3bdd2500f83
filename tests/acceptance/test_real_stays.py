"""All 4,000 stays of set A of the PhysioNet challenge of 2012, replayed over 60 dates."""

import json

import pyarrow.parquet as pq
import pytest

NIGHT = "2026-02-20"


@pytest.fixture(scope="module")
def replayed(physionet2012, medlstm, prefect_api, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    done = medlstm(
        "replay", "physionet2012", physionet2012 / "set-a.tar.gz", "--outcomes", physionet2012 / "Outcomes-a.txt",
        "--workspace", "w", "--start", "2026-01-01", "--days", "60", "--json", cwd=folder, PREFECT_API_URL=prefect_api,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def _night(medlstm, prefect_api, folder, **variables):
    done = medlstm("nightly", "--workspace", "w", "--as-of", NIGHT, "--json", cwd=folder, PREFECT_API_URL=prefect_api,
                   MEDLSTM_TRAINING__MAX_EPOCHS="3", MEDLSTM_MODEL__MEMBERS="2", MEDLSTM_SCORING__TOP_REASONS="0",
                   **variables)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_night_on_real_stays_accounts_for_every_row_and_beats_the_median(replayed, medlstm, prefect_api):
    folder, replay = replayed
    assert (replay["stays"], replay["left_out_unknown_length"], replay["unreadable_files"]) == (3940, 60, 0)
    night = _night(medlstm, prefect_api, folder)
    tables = {table["table"]: table for table in night["tables"]}
    for table in tables.values():
        assert table["rows_in"] == table["admitted"] + table["quarantined"] + table["exact_duplicates"]
    assert tables["observations"]["rows_in"] > 1_300_000
    assert 0 < tables["observations"]["quarantined"] < 0.01 * tables["observations"]["rows_in"]
    assert night["scored"] > 500
    test = night["training"]["test"]
    assert test["restricted_mae_days"] < min(test["restricted_median_mae_days"], test["restricted_baseline_mae_days"])
    folders = [folder / "w" / "lake" / name for name in ("stays", "observations", "predictions")]
    before = {path: path.read_bytes() for place in folders for path in sorted(place.rglob("*.parquet"))}
    again = _night(medlstm, prefect_api, folder)
    assert again["model_version"] == night["model_version"]
    assert {path: path.read_bytes() for place in folders for path in sorted(place.rglob("*.parquet"))} == before
    predictions = pq.ParquetFile(folder / "w" / "lake" / "predictions" / f"as_of={NIGHT}" / "part-0.parquet").read()
    assert predictions.num_rows == night["scored"]
