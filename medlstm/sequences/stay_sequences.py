"""The sequences of many stays in memory: read from their shards, chosen from, and hashed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from medlstm.errors import MedlstmError
from medlstm.lake.files import read_json, read_table
from medlstm.lake.schemas import SEQUENCES_MANIFEST
from medlstm.sequences.arrivals import US_PER_HOUR
from medlstm.sequences.cohort import Scope
from medlstm.sequences.shard_files import late_path, statics_path, stays_path, steps_path
from medlstm.sequences.shard_plan import read_shards
from medlstm.sequences.stay_versions import StaticVersions, no_changes
from medlstm.values.instants import epoch_us


@dataclass(frozen=True)
class LateValues:
    """Values that are older than the step in which they stand: at `row` [k] (ascending) of the values and `variable`
    [k], by `hours` [k]; infinite where, from that step on, nothing is known of the variable any more."""

    row: np.ndarray
    variable: np.ndarray
    hours: np.ndarray

    def of_rows(self, keep: np.ndarray) -> "LateValues":
        """Those at rows of a boolean array, by their places among these."""
        kept = keep[self.row]
        return LateValues((np.cumsum(keep) - 1)[self.row[kept]], self.variable[kept], self.hours[kept])


def no_late_values() -> LateValues:
    """Every value stands in the step in which it was observed."""
    return LateValues(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


@dataclass(frozen=True)
class StaySequences:
    """The sequences of n stays in memory, ragged.

    `stays` is the static frame (one row a stay, as it was known at its last step), `statics` what was known at earlier
    ones of stays whose features changed. Row r of `values` [rows, variables] float32 (NaN where nothing was observed)
    is step `step[r]` of stay `stay[r]`. A stay has `steps[i]` steps, the first of which is bin `first_bin[i]` after
    admission. A step closes with its bin, or where a night had begun the bin with that night's cutoff (one of
    `cutoffs_us`), and never later than the stay's own end. `told_with_end` as in `KnownWhen`.
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
    late: LateValues = field(default_factory=no_late_values)
    statics: StaticVersions = field(default_factory=no_changes)
    cutoffs_us: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    told_with_end: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stays)

    def select(self, keep: np.ndarray) -> "StaySequences":
        """The stays where the boolean array `keep` [n] holds, in the same order."""
        rows = keep[self.stay]
        renumbered = np.cumsum(keep) - 1
        return replace(
            self,
            stays=self.stays[keep].reset_index(drop=True),
            steps=self.steps[keep],
            first_bin=self.first_bin[keep],
            stay=renumbered[self.stay[rows]],
            step=self.step[rows],
            values=self.values[rows],
            late=self.late.of_rows(rows),
            statics=self.statics.of_stays(keep),
        )

    def with_variables(self, variables: Sequence[str]) -> "StaySequences":
        """The same stays with exactly these variables; one that was never observed is all NaN."""
        position = {name: index for index, name in enumerate(self.variables)}
        values = np.full((len(self.values), len(variables)), np.nan, dtype=np.float32)
        moved = np.full(len(self.variables), -1, dtype=np.int64)
        for column, name in enumerate(variables):
            if name in position:
                values[:, column] = self.values[:, position[name]]
                moved[position[name]] = column
        kept = np.flatnonzero(moved[self.late.variable] >= 0)
        late = LateValues(self.late.row[kept], moved[self.late.variable[kept]], self.late.hours[kept])
        return replace(self, variables=tuple(variables), values=values, late=late)

    def closes_hours(self, stay: np.ndarray, step: np.ndarray) -> np.ndarray:
        """Hours from admission to the close of steps [k] of the stays [k], float64."""
        if self.single_step:
            return np.zeros(len(stay))
        bins = self.first_bin[stay] + step
        closes = (bins + 1) * float(self.bin_hours)
        if len(self.cutoffs_us):
            start_us = epoch_us(self.stays["admitted_at"])[stay]
            opens_us = start_us + bins * (self.bin_hours * US_PER_HOUR)
            following = np.searchsorted(self.cutoffs_us, opens_us, side="right")
            is_night = following < len(self.cutoffs_us)
            cutoff = self.cutoffs_us[np.where(is_night, following, 0)]
            closes = np.where(is_night, np.minimum(closes, (cutoff - start_us) / US_PER_HOUR), closes)
        return np.minimum(closes, np.maximum(self.stays["duration_hours"].to_numpy(dtype=np.float64)[stay], 0.0))

    def elapsed_hours(self) -> np.ndarray:
        """Hours from admission to the close of each stay's last step, float64 [n]."""
        return self.closes_hours(np.arange(len(self)), self.steps - 1)


def load_sequences(folder: Path, beyond_the_end: bool = False) -> StaySequences:
    """Read every shard of a sequences folder, in stay_id order within each shard.

    Without `beyond_the_end` a stay has the steps that it lasted for, and not those that nights wrote before they knew
    that it had ended.
    """
    manifest: dict[str, Any] = read_json(folder / SEQUENCES_MANIFEST)
    names = sorted(read_shards(manifest))
    if not names:
        raise MedlstmError(
            f"{folder}: written by an earlier version of medlstm, which laid them out otherwise; `medlstm "
            "preprocess --as-of` of its date makes it anew"
        )
    variables = manifest["variables"]
    frames, stays, steps, values, lates, changes = [], [], [], [], [], []
    offset = rows = 0
    for shard in names:
        frame = read_table(stays_path(folder, shard)).to_pandas()
        binned = read_table(steps_path(folder, shard))
        position = pd.Index(frame["stay_id"])
        stays.append(position.get_indexer(binned.column("stay_id").to_pandas()) + offset)
        steps.append(binned.column("step").to_numpy())
        values.append(_matrix(binned, variables))
        lates.append(_late_values(folder, shard, position, stays[-1] - offset, steps[-1], variables,
                                  manifest["bin_hours"], rows))  # fmt: skip
        changes.append(_static_versions(folder, shard, position, frame, offset))
        frames.append(frame)
        offset, rows = offset + len(frame), rows + binned.num_rows
    frame = pd.concat(frames, ignore_index=True)
    sequences = StaySequences(
        stays=frame,
        variables=tuple(variables),
        bin_hours=manifest["bin_hours"],
        single_step=manifest["single_step"],
        steps=frame["steps"].to_numpy(dtype=np.int64),
        first_bin=frame["first_bin"].to_numpy(dtype=np.int64),
        stay=np.concatenate(stays).astype(np.int64),
        step=np.concatenate(steps).astype(np.int64),
        values=np.concatenate(values).astype(np.float32, copy=False),
        late=LateValues(*(np.concatenate(part) for part in zip(*lates, strict=True))),
        statics=StaticVersions(
            np.concatenate([one.stay for one in changes]), np.concatenate([one.from_step for one in changes]),
            pd.concat([one.frame for one in changes], ignore_index=True),
        ),
        cutoffs_us=np.array(manifest["cutoffs_us"], dtype=np.int64),
        told_with_end={name: (told, of) for name, (told, of) in manifest["told_with_end"].items()},
    )  # fmt: skip
    return sequences if beyond_the_end else _to_the_end(sequences)


def _to_the_end(sequences: StaySequences) -> StaySequences:
    steps = sequences.stays["steps_to_end"].to_numpy(dtype=np.int64)
    if (steps == sequences.steps).all():
        return sequences
    kept = sequences.step < steps[sequences.stay]
    return replace(
        sequences, steps=steps, stay=sequences.stay[kept], step=sequences.step[kept], values=sequences.values[kept],
        late=sequences.late.of_rows(kept),
    )  # fmt: skip


def _late_values(
    folder: Path,
    shard: str,
    position: pd.Index,
    stay: np.ndarray,
    step: np.ndarray,
    variables: list[str],
    bin_hours: int,
    offset: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the values, which begin at `offset`; both files are in the order of stays and steps."""
    table = read_table(late_path(folder, shard))
    late_stay = position.get_indexer(table.column("stay_id").to_pandas())
    late_step = table.column("step").to_numpy()
    row = np.searchsorted(_order(stay, step), _order(late_stay, late_step))
    variable = pd.Index(variables).get_indexer(table.column("variable").to_pandas())
    return (
        row.astype(np.int64) + offset,
        variable.astype(np.int64),
        table.column("steps_late").to_numpy() * np.float32(bin_hours),
    )


def _order(stay: np.ndarray, step: np.ndarray) -> np.ndarray:
    return stay.astype(np.int64) << 32 | step


def _static_versions(folder: Path, shard: str, position: pd.Index, stays: pd.DataFrame, offset: int) -> StaticVersions:
    frame = read_table(statics_path(folder, shard)).to_pandas()
    stay = position.get_indexer(frame["stay_id"])
    from_step = np.maximum(frame["from_step"].to_numpy() - stays["first_bin"].to_numpy()[stay], 0)
    return StaticVersions(stay.astype(np.int64) + offset, from_step, frame.drop(columns=["stay_id", "from_step"]))


def _matrix(binned: pa.Table, variables: list[str]) -> np.ndarray:
    matrix = np.empty((binned.num_rows, len(variables)), dtype=np.float32)
    for column, name in enumerate(variables):
        matrix[:, column] = binned.column(name).to_numpy()
    return matrix


def input_hashes(sequences: StaySequences, numeric: list[str], categorical: list[str]) -> list[str]:
    """A SHA-256 per stay over everything that a model may see of it: statics, elapsed time and bins."""
    boundaries = np.searchsorted(sequences.stay, np.arange(len(sequences) + 1))
    late_boundaries = np.searchsorted(sequences.late.row, boundaries)
    static_boundaries = np.searchsorted(sequences.statics.stay, np.arange(len(sequences) + 1))
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
        late = slice(late_boundaries[index], late_boundaries[index + 1])
        digest.update((sequences.late.row[late] - boundaries[index]).tobytes())
        digest.update(sequences.late.variable[late].tobytes())
        digest.update(sequences.late.hours[late].tobytes())
        changes = slice(static_boundaries[index], static_boundaries[index + 1])
        if changes.start < changes.stop:
            earlier = sequences.statics.frame.iloc[changes].reindex(columns=[*numeric, *categorical])
            digest.update(repr((sequences.statics.from_step[changes].tolist(), earlier.to_numpy().tolist())).encode())
        hashes.append(digest.hexdigest())
    return hashes


def stored_scope(folder: Path) -> Scope | None:
    """The scope of the sequences in `folder`, or None when there are none."""
    manifest = folder / SEQUENCES_MANIFEST
    return read_json(manifest)["scope"] if manifest.is_file() else None
