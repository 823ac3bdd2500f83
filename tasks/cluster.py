"""Tasks on the workers of a Dask cluster, within the flow run that calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import Task

from medlstm.errors import ConfigError, MedlstmError
from medlstm.settings.workspace import CONFIG_NAME, ExecutionSection
from medlstm.telemetry import switch_telemetry_off
from tasks.progress import report_progress

if TYPE_CHECKING:
    from prefect_dask import DaskTaskRunner
    from prefect_dask.client import PrefectDaskClient

_CONNECT_SECONDS = 10
# A step is at most so many task runs: the server's database is slow, and each batch of shards reads all observations.
_MOST_BATCHES = 5

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DaskCluster:
    """A cluster that answers. `batches`: into how many tasks a step is worth splitting."""

    address: str
    batches: int
    runner: "DaskTaskRunner"

    def map(self, task: Task[Any, Result], parameters: Sequence[dict[str, Any]]) -> list[Result]:
        """Run a task once for each of the parameters, and wait for all of them even where one fails.

        Parameters and results are paths and small summaries, which travel pickled; data stay in the workspace's
        files. Raises what the first failed task raised, and MedlstmError when the cluster loses a task.
        """
        futures = [self.runner.submit(task, one) for one in parameters]
        with self._losses_explained(task.name):
            for done, future in enumerate(futures, start=1):
                future.wait()
                report_progress(task.name, done, len(futures))
            return [future.result() for future in futures]

    @contextmanager
    def _losses_explained(self, step: str) -> Iterator[None]:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        try:
            yield
        except (KilledWorker, FutureCancelledError) as error:
            raise MedlstmError(
                f"{step}: the Dask cluster at {self.address} lost a task; look at the logs of its scheduler and "
                "workers (out of memory?), and run this again"
            ) from error


@contextmanager
def dask_cluster(workspace: str, execution: ExecutionSection) -> Iterator[DaskCluster]:
    """Connect to the cluster at `execution.dask_address`.

    Raises ConfigError where Dask is not installed, MedlstmError when no scheduler answers, it has no worker, or a
    worker lacks medlstm or the workspace.
    """
    try:
        from prefect_dask import DaskTaskRunner
    except ModuleNotFoundError as error:
        raise ConfigError('execution.task_runner = "dask": not installed; pip install "medlstm[dask]"') from error
    address = str(execution.dask_address)
    with DaskTaskRunner(address=address, client_kwargs={"timeout": _CONNECT_SECONDS}) as runner:
        client = _connected(runner, address)
        _require_workspace(client, workspace)
        yield DaskCluster(address, min(sum(client.nthreads().values()), _MOST_BATCHES), runner)


def _connected(runner: "DaskTaskRunner", address: str) -> "PrefectDaskClient":
    try:
        client = runner.client
    except OSError as error:
        raise MedlstmError(
            f'execution.dask_address = "{address}": no Dask scheduler answers there; start one with `dask scheduler`, '
            "or correct the address"
        ) from error
    try:
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
    except TimeoutError as error:
        raise MedlstmError(
            f'execution.dask_address = "{address}": the Dask scheduler has no worker; start some with '
            f"`dask worker {address} --nthreads 1 --preload flows`"
        ) from error
    return client


def _require_workspace(client: "PrefectDaskClient", workspace: str) -> None:
    try:
        seen = client.run(_prepare, workspace)
    except ModuleNotFoundError as error:
        raise MedlstmError(
            f"a Dask worker has no module {error.name}; install the same medlstm[dask] wherever workers run"
        ) from error
    blind = sorted(worker for worker, sees in seen.items() if not sees)
    if blind:
        raise MedlstmError(
            f"{workspace}: the Dask worker {blind[0]} sees no {CONFIG_NAME} there; mount the workspace under the same "
            "path wherever workers run"
        )


def _prepare(workspace: str) -> bool:
    """Runs in each worker before its first task; whether the worker sees the workspace."""
    switch_telemetry_off()
    return (Path(workspace) / CONFIG_NAME).is_file()


def split_evenly(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    """Consecutive items in at most `parts` lists whose lengths differ by one at most, none empty."""
    parts = min(parts, len(items))
    bounds = [len(items) * part // parts for part in range(parts + 1)] if parts else []
    return [items[start:end] for start, end in pairwise(bounds)]
