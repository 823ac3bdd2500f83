import shutil
import time
from datetime import timedelta

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter

from flows.backfill import backfill
from flows.nightly import nightly
from medlstm.errors import ContractStopped, LandingError
from medlstm.lake.files import Workspace, partition_dates, partition_file, read_table
from medlstm.registry.versions import champion

from .conftest import NIGHT, START

NEXT = NIGHT + timedelta(days=1)
COLUMNS = ["case_id", "patient_id", "age", "gender", "disease", "bmi", "ward"]


def _files(root, *folders):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).rglob("*.parquet"))
    }


def _logged(client, runs, expected, timeout_seconds=30):
    """The runs' log lines, which Prefect sends in batches, once one starts with `expected`."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        logs = client.read_logs(log_filter=LogFilter(flow_run_id={"any_": [run.id for run in runs]}), limit=200)
        lines = [log.message for log in logs]
        if any(line.startswith(expected) for line in lines):
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.5)


def test_a_first_night_takes_in_all_dates_trains_scores_and_writes_its_page(first_night):
    root, summary = first_night
    assert summary.extract_dates == 18
    for table in summary.tables:
        assert table.rows_in == table.admitted + table.quarantined + table.exact_duplicates
        assert table.quarantined > 0
    assert summary.training.promoted
    assert summary.training.censored_stays > 0
    predictions = read_table(partition_file(Workspace(root).predictions, NIGHT, key="as_of"))
    assert predictions.num_rows == summary.scored > 50
    assert sum(group.open_stays for group in summary.groups) == summary.scored
    page = (root / "reports" / NIGHT.isoformat() / "index.html").read_text()
    assert str(summary.scored) in page


def test_the_run_leaves_artifacts_and_log_lines_and_no_identifier(first_night):
    root, _ = first_night
    stays = set(read_table(partition_file(Workspace(root).admitted("stays"), START)).column("stay_id").to_pylist())
    patients = set(
        read_table(partition_file(Workspace(root).admitted("stays"), START)).column("patient_id").to_pylist()
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(name={"any_": [f"nightly {NIGHT}"]}))
        assert runs
        lines = _logged(client, runs, f"score {NIGHT}")
        artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    assert {"night": "markdown", "contracts": "table", "training": "progress"}.items() <= {
        one["key"]: one["type"] for one in artifacts
    }.items()
    shown = "\n".join([*lines, *(str(one["data"]) for one in artifacts), *(str(run.parameters) for run in runs)])
    assert not [identifier for identifier in stays | patients if identifier in shown]


def test_the_same_night_twice_leaves_the_same_bytes(workspace):
    before = _files(workspace, "lake/stays", "lake/observations", "lake/quarantine", "lake/predictions")
    version = champion(Workspace(workspace), NIGHT).version
    again = nightly(str(workspace), NIGHT)
    assert again.training is None
    assert again.model_version == version
    assert _files(workspace, "lake/stays", "lake/observations", "lake/quarantine", "lake/predictions") == before


def test_a_backfill_of_an_old_night_gives_the_bytes_it_gave_though_more_has_arrived(workspace):
    nightly(str(workspace), NEXT)
    before = _files(workspace, "lake/predictions")
    assert len(before) == 2
    shutil.rmtree(workspace / "lake" / "predictions")
    shutil.rmtree(workspace / "lake" / "sequences")
    summary = backfill(str(workspace), NIGHT, NEXT)
    assert [night.as_of for night in summary.nights] == [NIGHT, NEXT]
    assert _files(workspace, "lake/predictions") == before


def test_a_backfill_goes_on_after_a_night_that_failed(workspace):
    shutil.rmtree(workspace / "landing" / NEXT.isoformat())
    summary = backfill(str(workspace), NEXT, NEXT + timedelta(days=1))
    assert [day for day, _ in summary.failed] == [NEXT]
    assert "no such folder" in summary.failed[0][1]
    assert [night.as_of for night in summary.nights] == [NEXT + timedelta(days=1)]


def test_a_date_without_a_folder_fails_and_says_what_to_do(workspace):
    shutil.rmtree(workspace / "landing" / NEXT.isoformat())
    with pytest.raises(LandingError, match="Create it"):
        nightly(str(workspace), NEXT)


def test_an_empty_folder_and_an_unreadable_file_are_warnings_and_the_night_scores(workspace):
    folder = workspace / "landing" / NEXT.isoformat()
    for path in folder.iterdir():
        path.unlink()
    assert "the landing folder is empty" in nightly(str(workspace), NEXT).warnings[0]
    (folder / "stays.csv").write_text("half a header")
    (folder / "observations_labs.csv.gz").write_bytes(b"\x1f\x8b broken")
    summary = nightly(str(workspace), NEXT)
    assert summary.unreadable_files == 2
    assert summary.scored > 50
    assert summary.status == "warning"


def test_a_night_in_which_everybody_has_left_writes_a_page_of_nobody(workspace):
    place = Workspace(workspace)
    in_bed = read_table(partition_file(place.predictions, NIGHT, key="as_of")).column("stay_id").to_pylist()
    dates = partition_dates(place.admitted("stays"))
    known = pd.concat([read_table(partition_file(place.admitted("stays"), day)).to_pandas() for day in dates])
    still_in = known[known["stay_id"].isin(in_bed)].drop_duplicates("stay_id", keep="last")
    admission = still_in["admitted_at"].dt.tz_convert("Europe/Berlin").dt.strftime("%Y-%m-%dT%H:%M")
    folder = workspace / "landing" / NEXT.isoformat()
    shutil.rmtree(folder)
    folder.mkdir()
    everybody = still_in.rename(columns={"stay_id": "case_id"})[COLUMNS]
    gone = everybody.assign(died=False, admission=admission, discharge=f"{NEXT}T20:00")
    gone.to_csv(folder / "stays.csv", index=False)
    summary = nightly(str(workspace), NEXT)
    assert summary.scored == 0
    assert "nobody is in a bed, so no stay was scored" in summary.warnings
    assert read_table(partition_file(place.predictions, NEXT, key="as_of")).num_rows == 0
    page = (workspace / "reports" / NEXT.isoformat() / "index.html").read_text()
    assert "nobody is in a bed" in page


def test_a_contract_stops_the_night_before_anything_is_admitted_and_its_page_says_why(workspace):
    stays = workspace / "landing" / NEXT.isoformat() / "stays.csv"
    header, *lines = stays.read_text().splitlines()
    stays.write_text("\n".join([header, *(line.replace("2026-", "someday ") for line in lines)]) + "\n")
    with pytest.raises(ContractStopped, match="were quarantined, above"):
        nightly(str(workspace), NEXT)
    assert NEXT not in partition_dates(Workspace(workspace).admitted("stays"))
    assert NEXT not in partition_dates(Workspace(workspace).admitted("observations"))
    assert "stopped" in (workspace / "reports" / NEXT.isoformat() / "index.html").read_text()


def test_a_training_that_cannot_be_done_leaves_the_champion_to_score_and_says_stale(workspace, monkeypatch):
    monkeypatch.setenv("MEDLSTM_TRAINING__RETRAIN_EVERY_DAYS", "1")
    monkeypatch.setenv("MEDLSTM_TRAINING__MIN_STAYS", "100000")
    summary = nightly(str(workspace), NEXT)
    assert summary.stale
    assert summary.scored > 50
    assert any("not trained" in warning for warning in summary.warnings)
    monkeypatch.setenv("MEDLSTM_TRAINING__MIN_STAYS", "100")
    monkeypatch.setenv("MEDLSTM_TRAINING__LEARNING_RATE", "1")
    monkeypatch.setenv("MEDLSTM_TRAINING__CLIP_NORM", "1e30")
    monkeypatch.setenv("MEDLSTM_MODEL__HEAD", "mse")
    after = nightly(str(workspace), NEXT)
    assert after.scored == summary.scored
    predictions = read_table(partition_file(Workspace(workspace).predictions, NEXT, key="as_of"))
    assert predictions.num_rows == summary.scored


def test_a_past_nights_model_is_not_used_before_it_was_trained(workspace):
    before = NIGHT - timedelta(days=1)
    summary = nightly(str(workspace), before)
    assert summary.training is not None
    assert summary.training.version.startswith(before.isoformat())
