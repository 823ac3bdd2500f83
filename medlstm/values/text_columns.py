"""Columns of any Arrow type as the text that raw rows keep."""

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Text: TypeAlias = pa.Array | pa.ChunkedArray


class UnfitFileError(Exception):
    """A file that the configuration does not fit; the message says why and what to do, without a value of a row."""


def as_text(column: Text) -> Text:
    """Text of each value: timestamps in ISO 8601 (with Z where they have a zone), numbers in their shortest form.

    Raises pyarrow.ArrowException for nested types.
    """
    if pa.types.is_timestamp(column.type):
        zone = "Z" if column.type.tz else ""
        moments = column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None))
        return pc.strftime(moments, format=f"%Y-%m-%dT%H:%M:%S{zone}")
    if pa.types.is_duration(column.type):
        return as_text(hours_of(column))
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.dictionary(pa.int32(), pa.string()))
    return column.cast(pa.string())


def identifier_text(column: Text) -> Text:
    """As `as_text`, but whole numbers that a program stored as floating point lose their .0."""
    if pa.types.is_floating(column.type) and pc.all(pc.equal(pc.floor(column), column), min_count=0).as_py():
        return column.cast(pa.int64()).cast(pa.string())
    return as_text(column)


def hours_of(column: Text) -> Text:
    """A duration in hours, float64."""
    microseconds = column.cast(pa.duration("us")).cast(pa.int64())
    return pc.divide(microseconds.cast(pa.float64()), 3_600_000_000.0)


def repeated(text: str, rows: int) -> pa.DictionaryArray:
    """One text for all rows."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([text], pa.string()))


def require(name: str, header: list[str], setting: str) -> str:
    """`name`, if the file has that column. Raises UnfitFileError naming the setting to correct."""
    if name not in header:
        raise UnfitFileError(
            f"the column {name} is missing; the file has {', '.join(header)}: correct the file, or {setting}"
        )
    return name
