"""Which shard each stay is in, and which shards of an earlier night hold the very same already.

A shard is a part of the patients (by a hash) and a period: the calendar month in which the last row came of stays that
have ended, or "open". So what is added to the lake changes the newest shards alone, unless a late row comes for an old
stay: it moves to the newest period, and the shard that it leaves is written anew. The key of a shard is a hash of all
that its files depend on; where a night before has one of the same key, its files are linked rather than made.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.lake.files import Workspace, partition_file, read_json
from medlstm.lake.partition_facts import hashes_of
from medlstm.lake.schemas import SEQUENCES_MANIFEST
from medlstm.sequences.cohort import Cohort
from medlstm.sequences.row_index import RowIndex
from medlstm.sequences.shard_files import link_shard
from medlstm.sequences.stay_versions import KnownWhen
from medlstm.settings.workspace import Config

OPEN = "open"
# Of the code that makes the files: raise it where that changes what is in them.
_LAYOUT = 1


@dataclass(frozen=True)
class ShardRecord:
    """A shard that was made: the key of its content, its rows of steps, and what became of its stays' observations."""

    key: str
    rows: int
    observations: Counter[str]


@dataclass(frozen=True)
class Shard:
    """A shard to be: its name, the numbers of its stays in the cohort's frame, and its key; "" where it is not to be
    looked for."""

    name: str
    members: np.ndarray
    key: str


def patient_shards(patient_ids: pd.Series, count: int) -> np.ndarray:
    """The number [n] of the part of the patients that each is in."""
    digests = [hashlib.sha256(patient.encode()).digest()[0] for patient in patient_ids]
    return np.array(digests, dtype=np.int64) % count


def plan_shards(
    workspace: Workspace,
    cohort: Cohort,
    stays: pd.DataFrame,
    when: KnownWhen,
    index: RowIndex | None,
    variables: Sequence[str],
    config: Config,
    numbers: Sequence[int],
) -> list[Shard]:
    """The shards of some parts of the patients, by name. Without an index of the rows all stays are taken for open
    ones, of which nothing is kept."""
    part = patient_shards(stays["patient_id"], config.sequences.shards)
    period = _periods(cohort, stays, index)
    settings = _settings(cohort, variables, config)
    hashes = _hashes(workspace, index) if index else {}
    shards = []
    for number in numbers:
        inside = part == number
        for name in sorted({OPEN, *period[inside]}):
            members = np.flatnonzero(inside & (period == name))
            key = "" if name == OPEN or not index else _key(settings, stays, when, members, index, hashes)
            shards.append(Shard(f"{name}-{number:05d}", members, key))
    return shards


def take_over(workspace: Workspace, as_of: date, planned: Sequence[Shard]) -> dict[str, ShardRecord]:
    """Link those of the planned shards that the newest night before `as_of` with keys holds already; their records by
    name. Nothing where that night was built anew meanwhile: what was linked then may be of either build."""
    folder, earlier = _earlier_shards(workspace, as_of)
    same = {one.name: earlier[one.name] for one in planned
            if one.key and one.name in earlier and earlier[one.name].key == one.key}  # fmt: skip
    try:
        for name in same:
            link_shard(folder, workspace.sequences(as_of), name)
        still = read_shards(read_json(folder / SEQUENCES_MANIFEST)) if same else {}
    except FileNotFoundError:
        return {}
    return same if all(still.get(name) == record for name, record in same.items()) else {}


def _earlier_shards(workspace: Workspace, as_of: date) -> tuple[Path, dict[str, ShardRecord]]:
    """The shards of the newest night before `as_of` that has some with a key, by name, and their folder."""
    parent = workspace.sequences(as_of).parent
    folders = sorted(parent.glob("as_of=*"), reverse=True) if parent.is_dir() else []
    for folder in folders:
        manifest = folder / SEQUENCES_MANIFEST
        if folder.name < workspace.sequences(as_of).name and manifest.is_file():
            records = read_shards(read_json(manifest))
            if any(record.key for record in records.values()):
                return folder, records
    return parent, {}


def read_shards(manifest: Mapping[str, Any]) -> dict[str, ShardRecord]:
    """The shards that a manifest lists, by name; none of an earlier version's."""
    listed = manifest.get("shards")
    if not isinstance(listed, dict):
        return {}
    return {name: ShardRecord(one["key"], one["rows"], Counter(one["observations"])) for name, one in listed.items()}


def _periods(cohort: Cohort, stays: pd.DataFrame, index: RowIndex | None) -> np.ndarray:
    """The period [n] of each stay."""
    if index is None:
        return np.full(len(stays), OPEN, dtype=object)
    told = stays["extract_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    gone = np.array([cohort.vanished.get(stay, date.min).toordinal() for stay in stays["stay_id"]], dtype=np.int64)
    last = np.maximum.reduce([told, gone - date(1970, 1, 1).toordinal(), index.last_day(len(stays))])
    month = last.astype("datetime64[D]").astype("datetime64[M]").astype(str).astype(object)
    return np.where(stays["is_open"].to_numpy(dtype=bool), OPEN, month)


def _settings(cohort: Cohort, variables: Sequence[str], config: Config) -> bytes:
    own = {
        "layout": _LAYOUT,
        "sequences": config.sequences.model_dump(mode="json"),
        "features": config.features.model_dump(mode="json"),
        "zone": [config.workspace.timezone, config.workspace.cutoff_hour],
        "variables": list(variables),
        # A backtest on an export places rows otherwise.
        "by_arrival": cohort.known_as_of == cohort.as_of,
    }
    return json.dumps(own, sort_keys=True).encode()


def _hashes(workspace: Workspace, index: RowIndex) -> dict[date, str]:
    """The hash of each partition of observations by its date: by their content, so that equal lakes have equal keys."""
    days = index.days()
    paths = [partition_file(workspace.admitted("observations"), day) for day in days]
    return dict(zip(days, hashes_of(workspace, "observations", paths), strict=True))


def _key(
    settings: bytes,
    stays: pd.DataFrame,
    when: KnownWhen,
    members: np.ndarray,
    index: RowIndex,
    hashes: Mapping[date, str],
) -> str:
    digest = hashlib.sha256(settings)
    digest.update(_bytes_of(stays.iloc[members].reset_index(drop=True)))
    versions = when.arrivals.versions
    chosen = np.isin(versions.stay, members)
    night = versions.night[chosen] + when.arrivals.nights.first.toordinal()
    for numbers in (np.searchsorted(members, versions.stay[chosen]), night, versions.end_us[chosen]):
        digest.update(numbers.astype(np.int64).tobytes() + b"|")
    changed = np.isin(when.statics.stay, members)
    for numbers in (np.searchsorted(members, when.statics.stay[changed]), when.statics.from_step[changed]):
        digest.update(numbers.astype(np.int64).tobytes() + b"|")
    digest.update(_bytes_of(when.statics.frame[changed].reset_index(drop=True)))
    for day in sorted(index.days_of(members)):
        digest.update(hashes[day].encode() + b"|")
    return digest.hexdigest()


def _bytes_of(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
