"""Identifiers of digits that a program on the way took for numbers, as the text that the sender meant."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medlstm.values.text_columns import Text, UnfitFileError, as_text, encoded, exact_bits, on_distinct

# As programs write numbers that are no text to them: 7.0, 2.02600000017E11, 2.026E+11.
_WITH_ZEROS = r"^([+-]?\d+)\.0+$"
_SCIENTIFIC = r"^([+-]?\d)(?:\.(\d+))?[eE]\+?(\d{1,2})$"
_IS_SCIENTIFIC = r"^[+-]?\d(?:\.\d+[eE]\+?|[eE]\+)\d{1,3}$"
_EXACT = 2**53


def identifier_text(column: Text, name: str) -> Text:
    """As `as_text`; whole numbers that a program stored as floating point or decimal are those numbers' text.

    Raises UnfitFileError naming the column where floating point has room for fewer digits than its numbers have, so
    that several identifiers may have become one.
    """
    kind = column.type
    if pa.types.is_floating(kind):
        largest = pc.max(pc.abs(column.cast(pa.float64()).fill_null(0.0))).as_py()
        if largest is not None and largest >= 2.0 ** exact_bits(kind):
            raise UnfitFileError(
                f"the column {name} holds identifiers as floating-point numbers of more digits than these can tell "
                f"apart (2^{exact_bits(kind)} and above); export it as text or as integers"
            )
    texts = as_text(column)
    return texts if pa.types.is_integer(kind) else plain_identifiers(texts)


def plain_identifiers(texts: Text) -> Text:
    """Texts such as 7.0 and 2.02600000017E11, where every digit is known, as the whole number 7; others as they are."""
    dictionary = encoded(texts)
    if not pc.any(pc.match_substring(dictionary.dictionary, ".")).as_py():
        return dictionary
    return on_distinct(dictionary, _plain)


def _plain(distinct: pa.Array) -> pa.Array:
    texts = pd.Series(pc.utf8_trim_whitespace(distinct).to_pandas()).astype("str")
    zeros = texts.str.extract(_WITH_ZEROS)[0]
    scientific = texts.where(texts.str.match(_IS_SCIENTIFIC)).str.extract(_SCIENTIFIC)
    fraction = scientific[1].fillna("")
    digits = pd.to_numeric(scientific[2], errors="coerce").fillna(-1)
    # Spreadsheets round (2.026E+11); 2.026E11 is how Java and Spark write a double, in all its digits.
    is_known = (fraction.str.len() <= digits) & (~texts.str.contains("+", regex=False) | (fraction.str.len() == digits))
    written_out = (scientific[0] + fraction).where(is_known) + pd.Series(
        ["0" * max(int(count), 0) for count in digits - fraction.str.len()], index=texts.index, dtype="str"
    )
    found = zeros.fillna(written_out)
    found = found.where(np.abs(pd.to_numeric(found, errors="coerce")) < _EXACT)
    return pc.coalesce(pa.Array.from_pandas(found, type=pa.string()), distinct)


def rounded_identifiers(texts: pd.Series) -> np.ndarray:
    """Which texts [n] are numbers with digits lost, as a spreadsheet writes 2.026E+11 for many identifiers."""
    lost = texts.str.match(_IS_SCIENTIFIC) | texts.str.match(r"^[+-]?\d{16,}\.0+$")
    return lost.fillna(False).to_numpy(dtype=bool)
