"""The Parquet files of a shard of sequences: its stays, their binned steps, what is late in these, and static features
that changed."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.lake.files import StagedTables, remove, write_table
from medlstm.lake.links import link_file
from medlstm.sequences.binning import BinnedStays
from medlstm.sequences.stay_versions import StaticVersions

# A text that is a dictionary to the writer is text to readers.
_NAME = pa.dictionary(pa.int32(), pa.string())
_LATE_SCHEMA = pa.schema([("stay_id", _NAME), ("step", pa.int32()), ("variable", _NAME), ("steps_late", pa.float32())])


def stays_path(folder: Path, shard: str) -> Path:
    """One row a stay."""
    return folder / f"stays-{shard}.parquet"


def steps_path(folder: Path, shard: str) -> Path:
    """One row a stay and step with a value: stay_id, step, and each variable as float32."""
    return folder / f"steps-{shard}.parquet"


def late_path(folder: Path, shard: str) -> Path:
    """Values that are older than their step, by how many steps: stay_id, step, variable, steps_late (infinite: nothing
    is known of the variable any more)."""
    return folder / f"late-{shard}.parquet"


def statics_path(folder: Path, shard: str) -> Path:
    """Static features that changed: stay_id, from_step, and the features as nights knew them from then on."""
    return folder / f"statics-{shard}.parquet"


def link_shard(source: Path, folder: Path, shard: str) -> None:
    """Take the files of a shard over from another folder."""
    for path in _PATHS:
        link_file(path(source, shard), path(folder, shard))


def remove_others(folder: Path, shards: Collection[str]) -> None:
    """Remove the files of shards that are none of these."""
    kept = {path(folder, shard) for shard in shards for path in _PATHS}
    for path in folder.glob("*.parquet"):
        if path not in kept:
            remove(path)


_PATHS = (stays_path, steps_path, late_path, statics_path)


class StepFiles:
    """Writes the binned rows of shards, and their late values, as they come."""

    def __init__(self, folder: Path, shards: Sequence[str], variables: Sequence[str], ids: pa.Array) -> None:
        self.folder, self.shards, self.variables, self.ids = folder, shards, list(variables), ids
        self.schema = pa.schema(
            [pa.field("stay_id", _NAME), pa.field("step", pa.int32()),
             *(pa.field(name, pa.float32()) for name in self.variables)]
        )  # fmt: skip

    def open(self, staged: StagedTables) -> None:
        for shard in self.shards:
            staged.open(steps_path(self.folder, shard), self.schema, unsearched=self.variables)
            staged.open(late_path(self.folder, shard), _LATE_SCHEMA, unsearched=["steps_late"])

    def write(self, staged: StagedTables, shard: str, binned: BinnedStays) -> None:
        columns = [self._names(binned.stay), pa.array(binned.step), *(pa.array(values) for values in binned.values)]
        staged.write(steps_path(self.folder, shard), pa.table(columns, schema=self.schema))
        variable, row = np.divmod(binned.late.place, max(len(binned.stay), 1))
        order = np.lexsort((variable, row))
        row, variable = row[order], variable[order]
        names = pa.array(self.variables, pa.string())
        texts = pa.DictionaryArray.from_arrays(pa.array(variable.astype(np.int32)), names)
        columns = [self._names(binned.stay[row]), pa.array(binned.step[row]), texts,
                   pa.array(binned.late.steps_late[order])]  # fmt: skip
        staged.write(late_path(self.folder, shard), pa.table(columns, schema=_LATE_SCHEMA))

    def commit(self, staged: StagedTables) -> None:
        staged.commit([path(self.folder, shard) for shard in self.shards for path in (steps_path, late_path)])

    def _names(self, stay: np.ndarray) -> pa.DictionaryArray:
        stays, code = np.unique(stay, return_inverse=True)
        return pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), self.ids.take(pa.array(stays)))


def write_stays(stays: pd.DataFrame, folder: Path, shard: str) -> None:
    """The stays of a shard, one row each."""
    write_table(pa.Table.from_pandas(stays.reset_index(drop=True), preserve_index=False), stays_path(folder, shard))


def write_static_versions(
    statics: StaticVersions, stays: pd.DataFrame, members: np.ndarray, folder: Path, shard: str
) -> None:
    """The features that changed of the stays at `members` of the frame `stays`."""
    rows = np.flatnonzero(np.isin(statics.stay, members))
    names = stays["stay_id"].iloc[statics.stay[rows]].reset_index(drop=True)
    features = statics.frame.iloc[rows].reset_index(drop=True)
    frame = pd.DataFrame({"stay_id": names, "from_step": statics.from_step[rows]})
    table = pa.Table.from_pandas(pd.concat([frame, features], axis=1), preserve_index=False)
    write_table(table, statics_path(folder, shard))
