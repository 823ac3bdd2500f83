import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter

from flows.command_line.deploy import WORK_POOL, deploy_workspace
from medlstm.errors import ConfigError
from tests.conftest import quiet_environment

from .conftest import NIGHT

ROOT = Path(__file__).resolve().parents[2]
PREFECT_FILE = ROOT / "prefect.yaml"
FLOWS = {
    "nightly", "backfill", "ingest", "validate", "preprocess", "train", "score", "report", "compare", "explain",
}  # fmt: skip


@pytest.fixture(scope="module")
def deployed(first_night, prefect_api, prefect_home, tmp_path_factory):
    """The deployments as the server holds them, by name, of a workspace with a schedule of its own."""
    workspace = tmp_path_factory.mktemp("deployed") / "hospital"
    shutil.copytree(first_night[0], workspace)
    config = workspace / "medlstm.toml"
    config.write_text(config.read_text() + '\n[schedule]\ncron = "15 4 * * *"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", prefect_api)
        patch.setenv("PREFECT_HOME", str(prefect_home))
        deploy_workspace(workspace, PREFECT_FILE)
    with get_client(sync_client=True) as client:
        found = client.read_deployments(deployment_filter=DeploymentFilter(name={"any_": sorted(FLOWS)}))
    return workspace, {one.name: one for one in found}


def test_every_flow_is_deployed_with_its_entrypoint_workspace_and_pool(deployed):
    workspace, deployments = deployed
    assert set(deployments) == FLOWS
    for name, deployment in deployments.items():
        assert deployment.entrypoint == f"flows/{name}.py:{name}"
        assert deployment.parameters == {"workspace": str(workspace)}
        assert deployment.work_pool_name == WORK_POOL
        assert bool(deployment.schedules) == (name == "nightly")
    limits = {name: one.global_concurrency_limit for name, one in deployments.items()}
    assert {name for name, limit in limits.items() if limit and limit.limit == 1} == {"nightly", "backfill"}
    assert deployments["nightly"].concurrency_options.collision_strategy == "ENQUEUE"


def test_no_key_of_the_file_is_one_that_prefect_drops_in_silence():
    parsed = yaml.safe_load(PREFECT_FILE.read_text())
    assert set(parsed) == {"name", "pull", "definitions", "deployments"}
    known = {"name", "entrypoint", "description", "parameters", "work_pool", "concurrency_limit", "schedules"}
    for deployment in parsed["deployments"]:
        assert set(deployment) <= known
        assert (ROOT / deployment["entrypoint"].split(":")[0]).is_file()


def test_the_nightly_is_scheduled_in_the_hospitals_time_zone(deployed):
    nightly = deployed[1]["nightly"]
    deadline = time.monotonic() + 90
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    deployment_id={"any_": [nightly.id]}, state={"type": {"any_": ["SCHEDULED"]}}
                )
            )
            if runs:
                break
            assert time.monotonic() < deadline, "the scheduler made no run"
            time.sleep(1)
    local = {run.expected_start_time.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") for run in runs}
    assert local == {"04:15"}


def test_a_worker_runs_a_deployed_night(deployed, prefect_api, prefect_home):
    nightly = deployed[1]["nightly"]
    night = NIGHT + timedelta(days=1)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", WORK_POOL]
    environment = quiet_environment(prefect_home, PREFECT_API_URL=prefect_api)
    with get_client(sync_client=True) as client, (prefect_home / "worker.log").open("w") as log:
        run = client.create_flow_run_from_deployment(nightly.id, parameters={"as_of": night.isoformat()})
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log, preexec_fn=_heed_interrupts)
        try:
            deadline = time.monotonic() + 240
            while not (run := client.read_flow_run(run.id)).state.is_final():
                assert time.monotonic() < deadline, (prefect_home / "worker.log").read_text()
                time.sleep(1)
        finally:
            worker.terminate()
            worker.wait(timeout=60)
    assert run.state.is_completed(), run.state.message
    assert (deployed[0] / "lake" / "predictions" / f"as_of={night}" / "part-0.parquet").is_file()


def _heed_interrupts():
    """Prefect ends a worker by interrupting it, which is ignored below a shell's background job."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_without_a_server_or_a_checkout_it_says_so(first_night, server, tmp_path):
    with pytest.raises(ConfigError, match="run this in a checkout"):
        deploy_workspace(first_night[0], tmp_path / "prefect.yaml")
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(ConfigError, match="PREFECT_API_URL"):
        deploy_workspace(first_night[0], PREFECT_FILE)
