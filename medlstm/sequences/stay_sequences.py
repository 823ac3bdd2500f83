"""The sequences of many stays in memory: read from their shards, chosen from, and hashed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.lake.files import read_json, read_table
from medlstm.lake.schemas import SEQUENCES_MANIFEST
from medlstm.sequences.cohort import Scope


@dataclass(frozen=True)
class StaySequences:
    """The sequences of n stays in memory, ragged.

    `stays` is the static frame (one row a stay). Row r of `values` [rows, variables] float32 (NaN where
    nothing was observed) is step `step[r]` of stay `stay[r]`. A stay has `steps[i]` steps, the first of
    which is bin `first_bin[i]` after admission. Step k closes `elapsed_hours` = (first_bin + k + 1) bins
    after admission, and never later than the stay's own end.
    """

    stays: pd.DataFrame
    variables: tuple[str, ...]
    bin_hours: int
    single_step: bool
    steps: np.ndarray
    first_bin: np.ndarray
    stay: np.ndarray
    step: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.stays)

    def select(self, keep: np.ndarray) -> "StaySequences":
        """The stays where the boolean array `keep` [n] holds, in the same order."""
        rows = keep[self.stay]
        renumbered = np.cumsum(keep) - 1
        return StaySequences(
            stays=self.stays[keep].reset_index(drop=True),
            variables=self.variables,
            bin_hours=self.bin_hours,
            single_step=self.single_step,
            steps=self.steps[keep],
            first_bin=self.first_bin[keep],
            stay=renumbered[self.stay[rows]],
            step=self.step[rows],
            values=self.values[rows],
        )

    def with_variables(self, variables: Sequence[str]) -> "StaySequences":
        """The same stays with exactly these variables; one that was never observed is all NaN."""
        position = {name: index for index, name in enumerate(self.variables)}
        values = np.full((len(self.values), len(variables)), np.nan, dtype=np.float32)
        for column, name in enumerate(variables):
            if name in position:
                values[:, column] = self.values[:, position[name]]
        return StaySequences(
            self.stays, tuple(variables), self.bin_hours, self.single_step, self.steps, self.first_bin,
            self.stay, self.step, values,
        )  # fmt: skip

    def elapsed_hours(self) -> np.ndarray:
        """Hours from admission to the close of each stay's last step, float64 [n]."""
        if self.single_step:
            return np.zeros(len(self))
        closes = (self.first_bin + self.steps) * float(self.bin_hours)
        return np.minimum(closes, np.maximum(self.stays["duration_hours"].to_numpy(), 0))


def load_sequences(folder: Path) -> StaySequences:
    """Read every shard of a sequences folder, in stay_id order within each shard."""
    manifest: dict[str, Any] = read_json(folder / SEQUENCES_MANIFEST)
    variables = manifest["variables"]
    frames, stays, steps, values = [], [], [], []
    offset = 0
    for shard in range(manifest["shards"]):
        frame = read_table(folder / f"stays-{shard:05d}.parquet").to_pandas()
        binned = read_table(folder / f"steps-{shard:05d}.parquet")
        position = pd.Index(frame["stay_id"])
        stays.append(position.get_indexer(binned.column("stay_id").to_pandas()) + offset)
        steps.append(binned.column("step").to_numpy())
        values.append(_matrix(binned, variables))
        frames.append(frame)
        offset += len(frame)
    frame = pd.concat(frames, ignore_index=True)
    return StaySequences(
        stays=frame,
        variables=tuple(variables),
        bin_hours=manifest["bin_hours"],
        single_step=manifest["single_step"],
        steps=frame["steps"].to_numpy(dtype=np.int64),
        first_bin=frame["first_bin"].to_numpy(dtype=np.int64),
        stay=np.concatenate(stays).astype(np.int64),
        step=np.concatenate(steps).astype(np.int64),
        values=np.concatenate(values).astype(np.float32, copy=False),
    )


def _matrix(binned: pa.Table, variables: list[str]) -> np.ndarray:
    matrix = np.empty((binned.num_rows, len(variables)), dtype=np.float32)
    for column, name in enumerate(variables):
        matrix[:, column] = binned.column(name).to_numpy()
    return matrix


def input_hashes(sequences: StaySequences, numeric: list[str], categorical: list[str]) -> list[str]:
    """A SHA-256 per stay over everything that a model may see of it: statics, elapsed time and bins."""
    boundaries = np.searchsorted(sequences.stay, np.arange(len(sequences) + 1))
    elapsed = sequences.elapsed_hours()
    statics = sequences.stays.reindex(columns=[*numeric, *categorical]).to_dict("records")
    names = "\x1f".join(sequences.variables).encode()
    hashes = []
    for index, static in enumerate(statics):
        rows = slice(boundaries[index], boundaries[index + 1])
        digest = hashlib.sha256(names)
        digest.update(repr((sorted(static.items()), float(elapsed[index]))).encode())
        digest.update(sequences.step[rows].tobytes())
        digest.update(sequences.values[rows].tobytes())
        hashes.append(digest.hexdigest())
    return hashes


def stored_scope(folder: Path) -> Scope | None:
    """The scope of the sequences in `folder`, or None when there are none."""
    manifest = folder / SEQUENCES_MANIFEST
    return read_json(manifest)["scope"] if manifest.is_file() else None
