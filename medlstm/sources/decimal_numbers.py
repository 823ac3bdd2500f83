"""Numbers as text: with a decimal comma and marks between thousands, and in other units of one quantity."""

from collections.abc import Collection

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.settings.source import TableMapping
from medlstm.values.parsing import parse_numbers
from medlstm.values.text_columns import Text, on_distinct

# 1.234,5 and 1 234 567,8 and 1'234 and 245.000 (of thousands, for a decimal has a comma), and 1234,5 and ,5.
_COMMA_NUMBER = (
    r"^[+-]?(?:[1-9]\d{0,2}(?:(?:\.\d{3})+|(?:[ \x{a0}\x{2009}\x{202f}]\d{3})+|(?:['’]\d{3})+)(?:,\d+)?|\d*,\d+"
    r"(?:[eE][+-]?\d+)?)$"
)
_THOUSANDS_MARK = r"[. '’\x{a0}\x{2009}\x{202f}]"
_POINT_NUMBER = r"^[+-]?\d*\.\d+$"


def with_decimal_point(column: Text, mapping: TableMapping) -> Text:
    """Numbers with a decimal comma, and marks between thousands, as numbers with a point: 1.250 is 1250."""
    return on_distinct(column, _with_point) if mapping.decimal_comma else column


def _with_point(distinct: pa.Array) -> pa.Array:
    texts = pc.utf8_trim_whitespace(distinct)
    plain = pc.replace_substring(pc.replace_substring_regex(texts, _THOUSANDS_MARK, ""), ",", ".")
    return pc.if_else(pc.match_substring_regex(texts, _COMMA_NUMBER), plain, texts)


def pointed_numbers(columns: pa.Table, names: Collection[str]) -> int:
    """Rows in which one of the columns has a number such as 12.5, with a point that marks no thousands."""
    found = np.zeros(columns.num_rows, dtype=bool)
    for name in {*names} & {*columns.column_names}:
        texts = pc.utf8_trim_whitespace(columns.column(name).cast(pa.string()))
        pointed = pc.match_substring_regex(texts, _POINT_NUMBER)
        thousands = pc.match_substring_regex(texts, _COMMA_NUMBER)
        found |= pc.fill_null(pc.and_not(pointed, thousands), False).to_numpy()
    return int(found.sum())


def scaled(texts: Text, factor: float) -> Text:
    """Numbers as text times `factor`; what is not a number stays as it is, for the contract to refuse."""
    if factor == 1:
        return texts
    return on_distinct(texts, lambda distinct: _scaled_texts(distinct, factor))


def _scaled_texts(distinct: pa.Array, factor: float) -> pa.Array:
    received = distinct.to_pylist()
    numbers = parse_numbers(pd.Series(received, dtype="str")).values.to_numpy(dtype=np.float64, na_value=np.nan)
    scaled = (text if np.isnan(number) else repr(float(number) * factor)
              for text, number in zip(received, numbers, strict=True))  # fmt: skip
    return pa.array(scaled, pa.string())
