"""What a night would make of files by a mapping, in a scratch workspace that is gone afterwards."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from medlstm.contracts.plausible_limits import load_limits
from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.contracts.results import ContractReport, stop_above_limit
from medlstm.errors import ContractStopped
from medlstm.ingest.landing_to_raw import IngestSummary, ingest_date
from medlstm.lake.database import connect
from medlstm.lake.files import Workspace, partition_file
from medlstm.onboarding.problem_shapes import ProblemShape, problem_shapes
from medlstm.sequences.build import build_sequences
from medlstm.sequences.stay_sequences import StaySequences, load_sequences
from medlstm.settings.source import CsvSource
from medlstm.settings.workspace import Config
from medlstm.values.parsing import parse_timestamps
from medlstm.values.units import unit_table


@dataclass(frozen=True)
class SeenVariable:
    """What a model would see of one variable: admitted observations for each known stay, the share of stays that have
    any, and the median share of a stay's bins that hold one. `name` is None where it is a text of cells that neither
    medlstm nor the settings know."""

    name: str | None
    observations_per_stay: float
    stays_share: float
    median_bin_coverage: float


@dataclass(frozen=True)
class SeenFeature:
    """What a model would see of one feature of stays: the share of stays that have it, and how many values it takes."""

    name: str
    stays_share: float
    different: int


@dataclass(frozen=True)
class Trial:
    """`in_bins`: bins with an observation; `admitted_in_no_stay`: admitted observations that meet no known stay."""

    as_of: date
    ingest: IngestSummary
    reports: tuple[ContractReport, ...]
    would_stop: str | None
    problems: tuple[ProblemShape, ...]
    stays: int
    open_stays: int
    admitted_in_no_stay: int
    variables: tuple[SeenVariable, ...]
    features: tuple[SeenFeature, ...]


def try_mapping(files: Mapping[str, Path], config: Config, as_of: date | None = None) -> Trial:
    """Take files in, by their names in a landing folder, judge and bin them; counts only, and nothing is kept.

    Without `as_of` the night is that of the newest admission that is not ahead of today. Raises MedlstmError where
    rows in are not admitted, quarantined or duplicates.
    """
    with tempfile.TemporaryDirectory(prefix="medlstm-try-") as folder:
        day = as_of or _newest_date(files, config, Path(folder) / "dates")
        return _trial(Workspace(Path(folder) / "night"), files, day, config)


def _trial(workspace: Workspace, files: Mapping[str, Path], day: date, config: Config) -> Trial:
    _land(workspace, files, day)
    tolerant = config.contracts.model_copy(update={"max_quarantined_share": 1.0, "max_share_by_table": {},
                                                   "volume_action": "off", "freshness_action": "off"})  # fmt: skip
    ingested = ingest_date(workspace, day, config)
    reports = validate_date(workspace, day, config.model_copy(update={"contracts": tolerant})).reports
    build_sequences(workspace, day, config, "all")
    sequences = load_sequences(workspace.sequences(day))
    counts = _observations_by_variable(workspace, day, set(sequences.stays["stay_id"]))
    return Trial(
        as_of=day,
        ingest=ingested,
        reports=reports,
        would_stop=_would_stop(reports, config, day),
        problems=problem_shapes(workspace, day),
        stays=len(sequences),
        open_stays=int(sequences.stays["is_open"].sum()) if len(sequences) else 0,
        admitted_in_no_stay=sum(outside for _, outside in counts.values()),
        variables=_seen(sequences, counts, _sayable(config)),
        features=_features(sequences.stays, (*config.features.numeric, *config.features.categorical)),
    )


def _land(workspace: Workspace, files: Mapping[str, Path], day: date) -> None:
    """The files in the landing folder of a date: links where the file system can, copies where it cannot."""
    for name, path in files.items():
        target = workspace.landing(day) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path.resolve(), target)
        except OSError:
            shutil.copyfile(path, target)


def _newest_date(files: Mapping[str, Path], config: Config, folder: Path) -> date:
    """The local date of the newest time that is not ahead of now; where most are, of the newest admission or
    observation: dates may have been shifted, and a discharge may be planned."""
    today = datetime.now(UTC).date()
    workspace = Workspace(folder)
    _land(workspace, files, today)
    ingest_date(workspace, today, config)
    zone = config.workspace.timezone
    begun = [_times(workspace, today, table, name, zone)
             for table, name in (("stays", "admitted_at"), ("observations", "observed_at"))]  # fmt: skip
    ended = _times(workspace, today, "stays", "discharged_at", zone)
    times = pd.concat(begun, ignore_index=True).dropna()
    if times.empty:
        return today
    now = pd.Timestamp.now(tz="UTC") + timedelta(days=1)
    are_past = 2 * (times <= now).sum() > len(times)
    known = pd.concat([times[times <= now], ended[ended <= now]]) if are_past else times
    newest: date = known.max().tz_convert(zone).date()
    return newest


def _times(workspace: Workspace, day: date, table: str, column: str, zone: str) -> pd.Series:
    path = partition_file(workspace.raw(table), day)
    texts = pq.read_table(path, columns=[column]).column(0).unique().cast("string").to_pandas().astype("str")
    return parse_timestamps(texts, zone).values


def _would_stop(reports: tuple[ContractReport, ...], config: Config, day: date) -> str | None:
    """Why a night would stop at these reports, by the limits that the settings have."""
    try:
        for report in reports:
            stop_above_limit(report, config, day)
    except ContractStopped as error:
        return str(error)
    return None


def _observations_by_variable(workspace: Workspace, day: date, stays: set[str]) -> dict[str, tuple[int, int]]:
    """Variable to its admitted observations of known stays, and of no known stay."""
    path = partition_file(workspace.admitted("observations"), day)
    query = "select stay_id, variable, count(*) from read_parquet($path, hive_partitioning = false) group by all"
    with connect(workspace) as database:
        rows = database.execute(query, {"path": str(path)}).fetchall()
    counts: dict[str, tuple[int, int]] = {}
    for stay, variable, rows_of_both in rows:
        inside, outside = counts.get(variable, (0, 0))
        known = stay in stays
        counts[variable] = (inside + known * rows_of_both, outside + (not known) * rows_of_both)
    return counts


def _sayable(config: Config) -> set[str]:
    """Names of variables that stand in medlstm's tables or in the settings; any other is a text of somebody's row."""
    files = config.source.files if isinstance(config.source, CsvSource) else []
    named = {name for one in files for name in (*one.variables, *one.spellings.get("variable", {}).values())}
    limits = load_limits(config, Path())
    return {*named, *config.features.variables, *unit_table().units, *limits.by_variable}


def _features(stays: pd.DataFrame, names: tuple[str, ...]) -> tuple[SeenFeature, ...]:
    """Each feature that the settings name, in their order."""
    return tuple(SeenFeature(name, float(stays[name].notna().mean()) if len(stays) else 0.0, stays[name].nunique())
                 for name in names)  # fmt: skip


def _seen(
    sequences: StaySequences, counts: Mapping[str, tuple[int, int]], sayable: set[str]
) -> tuple[SeenVariable, ...]:
    """Each variable, the most observed first; its coverage is the median over stays of their bins that have it."""
    stays = max(len(sequences), 1)
    seen = []
    for column, name in enumerate(sequences.variables):
        has = ~np.isnan(sequences.values[:, column])
        bins = np.bincount(sequences.stay[has], minlength=len(sequences))
        coverage = bins / np.maximum(sequences.steps, 1)
        median = float(np.median(coverage)) if len(coverage) else 0.0
        said = name if name in sayable else None
        seen.append(SeenVariable(said, counts.get(name, (0, 0))[0] / stays, float((bins > 0).sum()) / stays, median))
    return tuple(sorted(seen, key=lambda one: -one.observations_per_stay))
