"""How a delimited file is written: its encoding, its delimiter, and whether its quotes mean anything."""

import codecs
from dataclasses import dataclass
from typing import Literal

import numpy as np

DELIMITERS = (",", ";", "\t", "|")
_LOOKED_AT_LINES = 2000
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


@dataclass(frozen=True)
class TextForm:
    """`unbalanced_lines`: lines that open a quote and do not close it. `quoting` is "none" where every such line has
    as many fields as the header when quotes are letters like others. `is_ascii`: no byte that was looked at tells UTF-8
    from the tables of one byte a letter."""

    delimiter: str = ","
    encoding: str = "utf-8"
    quoting: Literal["double", "none"] = "double"
    unbalanced_lines: int = 0
    is_ascii: bool = False


def decoded(content: bytes, whole: bool) -> tuple[str, str]:
    """The text of a file's beginning and the name of its encoding; of a cut beginning the whole lines alone."""
    encoding = encoding_of(content)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(content, final=whole).removeprefix("\ufeff")
    return (text if whole else text[: text.rfind("\n") + 1]), encoding


def encoding_of(content: bytes) -> str:
    """By byte order mark, by zeros between letters, as UTF-8, or else as the Western table that has all its bytes."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return encoding
    zeros = np.frombuffer(content[: len(content) // 2 * 2], dtype=np.uint8).reshape(-1, 2) == 0
    if len(zeros) and zeros.any():
        even, odd = zeros.mean(axis=0)
        if max(even, odd) > 0.4 and min(even, odd) < 0.1:
            return "utf-16-be" if even > odd else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        # Bytes 80 to 9F are letters and the euro in Windows' table, and control characters in Latin-1.
        high = np.frombuffer(content, dtype=np.uint8)
        return "cp1252" if ((high >= 0x80) & (high < 0xA0)).any() and _is_cp1252(content) else "latin-1"
    return "utf-8"


def _is_cp1252(content: bytes) -> bool:
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return True


def form_of(text: str, encoding: str) -> TextForm:
    """Delimiter and quoting of a text whose first line is a header."""
    lines = [line for line in text.splitlines()[:_LOOKED_AT_LINES] if line.strip()]
    delimiter = _delimiter(lines)
    unbalanced = [line for line in lines if line.count('"') % 2]
    if not unbalanced:
        return TextForm(delimiter, encoding)
    fields = lines[0].count(delimiter)
    alone = all(line.count(delimiter) == fields for line in unbalanced)
    fit = np.mean([line.count(delimiter) == fields for line in lines])
    return TextForm(delimiter, encoding, "none" if alone and fit >= 0.98 else "double", len(unbalanced))


def _delimiter(lines: list[str]) -> str:
    """The character that cuts the header into most parts and the lines after it into as many."""
    if not lines:
        return ","

    def fit(delimiter: str) -> float:
        parts = [line.count(delimiter) for line in lines[:200]]
        return parts[0] * float(np.mean([count == parts[0] for count in parts]))

    return max(DELIMITERS, key=fit)
