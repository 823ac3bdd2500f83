"""Rows that wait for their turn, in memory up to a limit and beyond it in files without a name."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

_TYPES = (np.dtype(np.int64), np.dtype(np.int64), np.dtype(np.float32))
_ROW_BYTES = sum(one.itemsize for one in _TYPES)


class CellRows(NamedTuple):
    """Rows of one part in the order in which they came: `value` NaN takes the row of that cell and time back."""

    cell: np.ndarray
    time: np.ndarray
    value: np.ndarray

    def take(self, rows: np.ndarray) -> "CellRows":
        return CellRows(self.cell[rows], self.time[rows], self.value[rows])

    @staticmethod
    def joined(batches: "list[CellRows]") -> "CellRows":
        """Rows of several batches as one."""
        if not batches:
            return CellRows(*(np.empty(0, dtype=one) for one in _TYPES))
        return CellRows(*(np.concatenate(column) for column in zip(*batches, strict=True)))


class WaitingRows:
    """Rows of each part in the order in which they came, in memory up to a limit and beyond it in temporary files."""

    def __init__(self, parts: int, memory_bytes: int, scratch: Path) -> None:
        self.memory_bytes = memory_bytes
        self.scratch = scratch
        self.held: list[list[CellRows]] = [[] for _ in range(parts)]
        self.files: list[IO[bytes] | None] = [None] * parts
        self.lengths: list[list[int]] = [[] for _ in range(parts)]
        self.taken_back = np.zeros(parts, dtype=bool)
        self.bytes = 0

    def __enter__(self) -> "WaitingRows":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self.files:
            if file:
                file.close()

    def add(self, part: int, rows: CellRows) -> None:
        self.held[part].append(rows)
        self.taken_back[part] |= bool(np.isnan(rows.value).any())
        self.bytes += len(rows.cell) * _ROW_BYTES
        if self.bytes > self.memory_bytes:
            self._spill()

    def _spill(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        for part, held in enumerate(self.held):
            if not held:
                continue
            file = self.files[part] or tempfile.TemporaryFile(dir=self.scratch)  # noqa: SIM115
            self.files[part] = file
            for rows in held:
                file.writelines(np.ascontiguousarray(array).data for array in rows)
                self.lengths[part].append(len(rows.cell))
            self.held[part] = []
        self.bytes = 0

    def take(self, part: int) -> Iterator[CellRows]:
        """The batches of a part, which are then forgotten."""
        file = self.files[part]
        if file:
            file.seek(0)
            for length in self.lengths[part]:
                yield CellRows(*(np.frombuffer(file.read(length * one.itemsize), dtype=one) for one in _TYPES))
            file.close()
            self.files[part] = None
        yield from self.held[part]
        self.held[part] = []
