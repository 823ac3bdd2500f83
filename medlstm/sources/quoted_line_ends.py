"""Line ends that a quote swallows: rows are told apart again where a quote was never meant to open a field.

A quoted field may hold line ends, so a mark of inches, or a quote that is never closed, can make one field of many
rows. Text is passed on unchanged, but for such quotes, which are doubled as delimited files do with quotes that mean
themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_QUOTE, _NEWLINE, _RETURN = 34, 10, 13
# A longer field is taken for one that is never closed.
_LONGEST_BYTES = 1 << 20
_IN_LINE = re.compile(rb'"[^"\r\n]*+(?:""[^"\r\n]*+)*+"')
_OVER_LINES = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)?")
# A longer line is no row to any reader.
_LONGEST_LINE_BYTES = 16 << 20
# Of fewer columns, chance makes rows of the lines of a text.
_FEWEST_COLUMNS = 3


@dataclass(frozen=True)
class _Line:
    """One line by itself: its fields, and where those begin that open a quote which the line does not close."""

    fields: list[bytes]
    opened: list[int]


class QuotedLineEnds:
    """Goes through a file's text block by block; `mended` are the lines (from 1) whose quotes mean themselves, and
    `doubtful` those where a quoted field holds line ends and, between these, what may be a row."""

    def __init__(self, delimiter: str, columns: int) -> None:
        self.mended: list[int] = []
        self.doubtful: list[int] = []
        self._delimiter = delimiter.encode()
        self._columns = columns
        self._rest = b""
        self._lines_before = 0
        self._is_edge = np.isin(np.arange(256), [_QUOTE, _NEWLINE, _RETURN, *self._delimiter])
        self._plain = re.compile(rb"[^\r\n" + re.escape(self._delimiter) + rb"]*+")

    def passed_on(self, block: bytes, last: bool) -> bytes:
        """The text of the block, with what had to wait for it, and without what has to wait for the next."""
        text = self._rest + block
        whole = len(text) if last else max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if not whole and len(text) > _LONGEST_LINE_BYTES:
            whole = len(text)
        parts, done = [], 0
        for start in self._unclear_lines(text, whole) if _QUOTE in text else ():
            if start < done:
                continue
            end, mended = self._record(text, start, last)
            if end is None:
                whole = start
                break
            if mended is not None:
                parts += [text[done:start], mended]
                done = end
            elif end > start:
                parts.append(text[done:end])
                done = end
        parts.append(text[done:whole])
        self._rest = text[whole:]
        self._lines_before += text.count(b"\n", 0, whole)
        return b"".join(parts)

    def _unclear_lines(self, text: bytes, whole: int) -> list[int]:
        """Where lines begin that hold quotes other than around whole fields."""
        found = np.frombuffer(text, dtype=np.uint8)[:whole]
        quotes = np.flatnonzero(found == _QUOTE)
        ends = np.flatnonzero((found == _NEWLINE) | (found == _RETURN))
        before_end = np.searchsorted(quotes, ends)
        # Of a line's quotes the first, third, … follow the edge of a field, the second, fourth, … stand before one.
        opening = self._is_edge[found[np.maximum(quotes - 1, 0)]] | (quotes == 0)
        closing = self._is_edge[found[np.minimum(quotes + 1, whole - 1)]] | (quotes == whole - 1)
        if not (before_end % 2).any() and opening[::2].all() and closing[1::2].all():
            return [] if len(quotes) % 2 == 0 else [int(ends[-1]) + 1 if len(ends) else 0]
        starts = np.concatenate([[0], ends + 1])
        line = np.searchsorted(starts, quotes, side="right") - 1
        place = np.arange(len(quotes)) - np.concatenate([[0], before_end])[line]
        is_last = np.concatenate([line[1:] != line[:-1], [True]])
        unclear = ~np.where(place % 2 == 0, opening, closing) | (is_last & (place % 2 == 0))
        return [int(starts[one]) for one in np.unique(line[unclear])]

    def _record(self, text: bytes, start: int, last: bool) -> tuple[int | None, bytes | None]:
        """Where the record that begins at `start` ends, and its text if that has to change; no end where more text is
        needed to tell."""
        line = _line_at(text, start)
        alone = self._alone(line)
        if not alone.opened:
            if len(alone.fields) != self._columns == line.count(self._delimiter) + 1:
                return start + len(line), self._mended(start, text, line.split(self._delimiter))
            return start + len(line), None
        end = self._end_over_lines(text, start, last)
        if end is None and not last and len(text) - start < _LONGEST_BYTES:
            return None, None
        if end is not None:
            lines = [one for one in _lines(text[start:end]) if one.strip()]
            if self._columns < _FEWEST_COLUMNS or not all(map(self._may_be_row, lines)):
                if any(self._may_be_row(one) for one in lines[1:-1] if b'"' not in one):
                    self.doubtful.append(self._number(text, start))
                return end, None
        return start + len(line), self._mended(start, text, alone.fields, alone.opened)

    def _mended(self, start: int, text: bytes, fields: list[bytes], opened: list[int] | None = None) -> bytes:
        self.mended.append(self._number(text, start))
        chosen = range(len(fields)) if opened is None else opened
        return self._delimiter.join(
            _quoted(field) if place in chosen else field for place, field in enumerate(fields)
        )

    def _number(self, text: bytes, start: int) -> int:
        return self._lines_before + text.count(b"\n", 0, start) + 1

    def _alone(self, line: bytes) -> _Line:
        """A line's fields, if every quote that it does not close means itself."""
        fields: list[bytes] = []
        opened: list[int] = []
        place = 0
        while True:
            quoted = _IN_LINE.match(line, place)
            if quoted is None and line[place : place + 1] == b'"':
                opened.append(len(fields))
            rest = self._plain.match(line, quoted.end() if quoted else place)
            end = rest.end() if rest else len(line)
            if line[end : end + 1] != self._delimiter:
                return _Line([*fields, line[place:]], opened)
            fields.append(line[place:end])
            place = end + 1

    def _end_over_lines(self, text: bytes, start: int, last: bool) -> int | None:
        """Where a record ends whose quoted fields may hold line ends; None unless each is closed at the end of a field
        and the record has the header's number of fields."""
        place, fields, limit = start, 1, start + _LONGEST_BYTES
        while True:
            end = place
            if text[place : place + 1] == b'"':
                quoted = _OVER_LINES.match(text, place, limit)
                if quoted is None:
                    return None
                end = quoted.end()
            else:
                plain = self._plain.match(text, place)
                end = plain.end() if plain else place
            after = text[end : end + 1]
            if after == self._delimiter:
                place, fields = end + 1, fields + 1
                continue
            if after not in (b"\n", b"\r") and not (last and not after):
                return None
            line_end = _LINE.match(text, end)
            return line_end.end() if line_end and fields == self._columns else None

    def _may_be_row(self, line: bytes) -> bool:
        return self._columns in (len(self._alone(line).fields), line.count(self._delimiter) + 1)


def _line_at(text: bytes, start: int) -> bytes:
    found = _LINE.match(text, start)
    return found.group() if found else b""


def _lines(text: bytes) -> Iterator[bytes]:
    return (found.group() for found in _LINE.finditer(text) if found.group())


def _quoted(field: bytes) -> bytes:
    """A field that begins with a quote which means itself; a line end stays behind it."""
    if not field.startswith(b'"'):
        return field
    content = field.rstrip(b"\r\n")
    return b'"' + content.replace(b'"', b'""') + b'"' + field[len(content) :]
