"""Columns of any Arrow type as the text that raw rows keep."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Text: TypeAlias = pa.Array | pa.ChunkedArray
# Below it every whole number is written without an exponent.
_PLAIN_FLOAT = 1e10
_TRAILING_ZEROS = (r"\.0*$|(\.\d*[1-9])0+$", r"\1")
_DASHED = (r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5")


class UnfitFileError(Exception):
    """A file that the configuration does not fit; the message says why and what to do, without a value of a row."""


def as_text(column: Text) -> Text:
    """Text of each value: timestamps in ISO 8601 to the microsecond (with Z where they have a zone), whole numbers
    without a point or an exponent, other numbers in their shortest form, durations in hours; NaN is missing.

    Raises pyarrow.ArrowException for nested types.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _uuid_text(column) if kind.extension_name == "arrow.uuid" else as_text(_storage(column))
    if pa.types.is_dictionary(kind):
        if pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type):
            return column.cast(pa.dictionary(pa.int32(), pa.string()))
        return as_text(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        zone = "Z" if kind.tz else ""
        # What is finer than a microsecond is cut off; any other loss would be an error.
        moments = column.cast(pa.timestamp("us", tz="UTC" if kind.tz else None), safe=kind.unit != "ns")
        return pc.strftime(moments, format=f"%Y-%m-%dT%H:%M:%S{zone}")
    if pa.types.is_duration(kind):
        return as_text(hours_of(column))
    if pa.types.is_floating(kind):
        return _number_text(column)
    texts = column.cast(pa.string())
    return pc.replace_substring_regex(texts, *_TRAILING_ZEROS) if pa.types.is_decimal(kind) else texts


def _number_text(column: Text) -> Text:
    if pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    texts = column.cast(pa.string())
    largest = pc.max(pc.abs(column.cast(pa.float64()))).as_py()
    if largest is None or largest < _PLAIN_FLOAT:
        return texts
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0 ** exact_bits(column.type)))
    plain = pc.if_else(whole, column, pa.scalar(0.0).cast(column.type)).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, plain, texts)


def exact_bits(kind: pa.DataType) -> int:
    """How many binary digits a floating type tells apart: beyond 2 to that power whole numbers run together."""
    return {16: 11, 32: 24}.get(kind.bit_width, 53)


def _storage(column: Text) -> Text:
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([one.storage for one in column.chunks], column.type.storage_type)
    return column.storage


def _uuid_text(column: Text) -> Text:
    """Sixteen bytes each as 8-4-4-4-12 hexadecimal digits."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([_uuid_text(one) for one in column.chunks], pa.string())
    stored = column.storage
    digits = b"".join(one or bytes(16) for one in stored.to_pylist()).hex().encode()
    offsets = pa.py_buffer(np.arange(0, 32 * len(stored) + 1, 32, dtype=np.int32))
    texts = pa.StringArray.from_buffers(len(stored), offsets, pa.py_buffer(digits))
    return pc.if_else(pc.is_valid(stored), pc.replace_substring_regex(texts, *_DASHED), pa.scalar(None, pa.string()))


def hours_of(column: Text) -> Text:
    """A duration in hours, float64."""
    microseconds = column.cast(pa.duration("us"), safe=column.type.unit != "ns").cast(pa.int64())
    return pc.divide(microseconds.cast(pa.float64()), 3_600_000_000.0)


def repeated(text: str, rows: int) -> pa.DictionaryArray:
    """One text for all rows."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([text], pa.string()))


def encoded(column: Text) -> pa.DictionaryArray:
    """Text as one dictionary: each distinct text is looked at once, however many rows repeat it."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column.cast(pa.string()))
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    return column


def on_distinct(texts: Text, change: Callable[[pa.Array], pa.Array]) -> Text:
    """`change` of each distinct text, put back in the place of each row's."""
    dictionary = encoded(texts)
    return pa.DictionaryArray.from_arrays(dictionary.indices, change(dictionary.dictionary)).cast(pa.string())


def require(name: str, header: list[str], setting: str) -> str:
    """`name`, if the file has that column. Raises UnfitFileError naming the setting to correct."""
    if name not in header:
        raise missing_column(name, header, setting)
    return name


def missing_column(column: str, header: list[str], setting: str) -> UnfitFileError:
    """The error that says so. It repeats no name of the header: a file without one begins with a patient's row."""
    return UnfitFileError(
        f"the column {column} is missing among the {len(header)} of the file: correct the file, or {setting}"
    )
