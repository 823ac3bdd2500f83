import json
import os
import shutil
import signal
import sys
import time
from datetime import date, timedelta
from importlib import resources

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter

from flows.ingest import ingest
from flows.nightly import nightly
from flows.preprocess import preprocess
from flows.validate import validate
from medlstm.errors import ConfigError, ContractStopped, MedlstmError
from medlstm.lake.audit_log import read_audit
from medlstm.lake.files import Workspace, partition_dates
from medlstm.settings.workspace import ExecutionSection
from medlstm.synthetic.hospital import simulate_hospital
from tasks.cluster import dask_cluster
from tests.conftest import free_port

START = date(2026, 3, 9)
DAYS = [START + timedelta(days=day) for day in range(6)]
NIGHT = DAYS[-1]


def _cluster(folder, workers):
    from distributed import LocalCluster

    return LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0",
                        local_directory=str(folder), preload=["flows"])  # fmt: skip


@pytest.fixture(scope="module")
def address(server, tmp_path_factory):
    """The scheduler of a cluster of two processes."""
    with _cluster(tmp_path_factory.mktemp("dask"), 2) as cluster:
        cluster.wait_for_workers(2, timeout=120)
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    """A hospital's landing folders, with a rule about whole tables, so that each date is validated by itself."""
    root = tmp_path_factory.mktemp("landed")
    template = resources.files("medlstm.settings").joinpath("examples", "demo.toml").read_text("utf-8")
    template = template.replace("[contracts]", '[contracts]\nsuites_folder = "contracts"')
    (root / "medlstm.toml").write_text(template, encoding="utf-8")
    meta = {"rule": "no_stays", "action": "warn", "description": "a date without a stay"}
    rule = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "severity": "info"}
    (root / "contracts").mkdir()
    (root / "contracts" / "stays.json").write_text(
        json.dumps({"name": "stays", "expectations": [rule | {"meta": meta}]}), encoding="utf-8"
    )
    simulate_hospital(root / "landing", START, len(DAYS), 3, timezone="Europe/Berlin", admissions_per_day=8.0)
    return root


def _copy(landed, root, address=None):
    shutil.copytree(landed, root)
    if address:
        with (root / "medlstm.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[execution]\ntask_runner = "dask"\ndask_address = "{address}"\n')
    return root


def _files(root, *folders):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }


def _corrupt_stays(root, day):
    stays = root / "landing" / day.isoformat() / "stays.csv"
    header, *lines = stays.read_text().splitlines()
    assert len(lines) >= 10
    stays.write_text("\n".join([header, *(line.replace("2026-", "someday ") for line in lines)]) + "\n")


@pytest.fixture(scope="module")
def nights(landed, address, tmp_path_factory):
    """The same night in this process and on the cluster: (workspace, summary) of each."""
    folder = tmp_path_factory.mktemp("nights")
    local, spread = _copy(landed, folder / "local"), _copy(landed, folder / "spread", address)
    return (local, nightly(str(local), NIGHT)), (spread, nightly(str(spread), NIGHT))


def test_a_night_on_two_processes_leaves_the_bytes_that_a_night_in_one_leaves(nights):
    (local, expected), (spread, summary) = nights
    assert summary.extract_dates == expected.extract_dates == len(DAYS)
    assert summary.tables == expected.tables
    assert all(table.admitted and table.quarantined for table in summary.tables)
    assert summary.warnings == expected.warnings
    folders = ("lake/raw", "lake/stays", "lake/observations", "lake/quarantine", "lake/sequences", "lake/deliveries")
    before = _files(local, *folders)
    assert {name.split("/")[1] for name in before} == {folder.split("/")[1] for folder in folders}
    assert _files(spread, *folders) == before
    for day in DAYS:
        assert _files(spread, f"reports/{day}").keys() == _files(local, f"reports/{day}").keys()
        contract = f"reports/{day}/contract.json"
        assert (spread / contract).read_bytes() == (local / contract).read_bytes()


def test_both_processes_of_the_cluster_worked_and_none_of_it_was_done_here(nights):
    _, (spread, _) = nights
    holders = {path.read_text() for path in (spread / "lake" / ".locks").glob("extract_date=*.lock")}
    assert len(holders) == 2
    assert f"process {os.getpid()}" not in holders


def test_a_night_on_a_cluster_is_one_run_of_a_handful_of_tasks_whose_log_arrives(nights):
    _, (spread, _) = nights
    (run,) = {line["run"] for line in read_audit(Workspace(spread))}
    with get_client(sync_client=True) as client:
        names = [one.name for one in client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [run]}))]
    assert 5 <= len(names) <= 20, names
    for step in ("ingest", "validate", "preprocess"):
        assert sum(name.startswith(f"{step}-") for name in names) == 2, names
    missing = {f"{step} {DAYS[0]}" for step in ("ingest", "validate")} | {f"preprocess {NIGHT}"}
    deadline = time.monotonic() + 30
    while missing and time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            logs = client.read_logs(log_filter=LogFilter(flow_run_id={"any_": [run]}), limit=200)
        missing = {start for start in missing if not any(log.message.startswith(start) for log in logs)}
        time.sleep(0.5)
    assert not missing


def test_times_that_count_from_the_admission_find_it_on_a_cluster_too(address, tmp_path):
    """The second date's observations need the first date's stays."""
    source = tmp_path / "source"
    toml = """
        [source]
        format = "csv"
        [[source.files]]
        pattern = "stays*.csv"
        table = "stays"
        [[source.files]]
        pattern = "observations*.csv"
        table = "observations"
        time_unit = "hours"
    """
    for day, stays, hours in ((DAYS[0], ("s1", "s2"), (1, 2)), (DAYS[1], ("s3",), (25, 30)), (DAYS[2], (), (50, 51))):
        folder = source / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        rows = [f"{stay},{stay},{day}T0{place}:00:00,\n" for place, stay in enumerate(stays)]
        (folder / "stays.csv").write_text("stay_id,patient_id,admitted_at,discharged_at\n" + "".join(rows))
        rows = [f"{stay},{hour},heart_rate,{60 + hour}\n" for stay in ("s1", "s2") for hour in hours]
        (folder / "observations.csv").write_text("stay_id,observed_at,variable,value\n" + "".join(rows))
    (source / "medlstm.toml").write_text(toml)
    local, spread = _copy(source, tmp_path / "local"), _copy(source, tmp_path / "spread", address)
    for root in (local, spread):
        ingest(str(root), DAYS[2])
        outcome = validate(str(root), DAYS[2])
        assert [one.reports[1].admitted for one in outcome.summaries] == [4, 4, 4]
        assert preprocess(str(root), DAYS[2]).rows == 12
    assert _files(spread, "lake/raw", "lake/observations", "lake/sequences") == _files(
        local, "lake/raw", "lake/observations", "lake/sequences"
    )


def test_the_contract_of_the_date_itself_stops_a_cluster_and_that_of_another_date_only_that(landed, address, tmp_path):
    root = _copy(landed, tmp_path / "spread", address)
    _corrupt_stays(root, DAYS[0])
    ingest(str(root), DAYS[4])
    outcome = validate(str(root), DAYS[4])
    assert [one.extract_date for one in outcome.summaries] == DAYS[1:5]
    assert len(outcome.stopped) == 1
    assert str(DAYS[0]) in outcome.stopped[0]
    _corrupt_stays(root, DAYS[5])
    ingest(str(root), DAYS[5])
    with pytest.raises(ContractStopped, match="were quarantined, above"):
        validate(str(root), DAYS[5])
    assert partition_dates(Workspace(root).admitted("observations")) == DAYS[1:5]


def test_an_address_where_no_scheduler_is_names_the_key_and_what_to_do(landed, server, tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.cluster._CONNECT_SECONDS", 2)
    address = f"tcp://127.0.0.1:{free_port()}"
    root = _copy(landed, tmp_path / "spread", address)
    with pytest.raises(MedlstmError, match=rf'execution\.dask_address = "{address}": no Dask scheduler answers'):
        ingest(str(root), NIGHT)
    assert not (root / "lake" / "raw").exists()


def test_a_configuration_that_needs_dask_where_it_is_not_installed_says_how_to_install_it(landed, server, tmp_path,
                                                                                         monkeypatch):  # fmt: skip
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(ConfigError, match=r"pip install \"medlstm\[dask\]\""):
        ingest(str(_copy(landed, tmp_path / "spread", "tcp://127.0.0.1:8786")), NIGHT)


@task
def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@flow
def _dying(workspace: str, address: str) -> None:
    with dask_cluster(workspace, ExecutionSection(task_runner="dask", dask_address=address)) as cluster:
        cluster.map(_die, [{}])


def test_a_cluster_that_has_no_worker_or_loses_it_or_does_not_see_the_workspace_says_so(
    landed, server, tmp_path, monkeypatch
):
    import dask

    monkeypatch.setattr("tasks.cluster._CONNECT_SECONDS", 2)
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), _cluster(tmp_path, 0) as cluster:
        with pytest.raises(MedlstmError, match="has no worker; start some with `dask worker tcp://"):
            _dying(str(landed), cluster.scheduler_address)
        cluster.scale(1)
        cluster.wait_for_workers(1, timeout=120)
        with pytest.raises(MedlstmError, match=r"elsewhere: the Dask worker tcp://.* sees no medlstm\.toml there"):
            _dying(str(tmp_path / "elsewhere"), cluster.scheduler_address)
        with pytest.raises(MedlstmError, match=r"lost a task; look at the logs"):
            _dying(str(landed), cluster.scheduler_address)
