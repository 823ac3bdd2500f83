"""A delimited file's bytes as UTF-8, whatever it was compressed and encoded with."""

import codecs
import io
from pathlib import Path

import pyarrow as pa

from medlstm.sources.file_kinds import compression
from medlstm.sources.quoted_line_ends import QuotedLineEnds

REPLACED = "\ufffd"
_ASCII_SUPERSETS = ("utf-8", "iso8859-1", "iso8859-15", "cp1252")


def opened(path: Path) -> pa.NativeFile:
    """The file's bytes, uncompressed."""
    return pa.input_stream(str(path), compression=compression(path.name))


class Utf8Stream(io.RawIOBase):
    """A file's text, uncompressed, as UTF-8, with U+FFFD for bytes that are not of its encoding: `replaced` says
    whether there were any. With `quotes`, quotes that are not meant to enclose a field are doubled."""

    def __init__(self, path: Path, encoding: str, quotes: QuotedLineEnds | None = None) -> None:
        self._file = opened(path)
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._passes_ascii = codecs.lookup(encoding).name in _ASCII_SUPERSETS
        self._undecoded = False
        self._quotes = quotes
        self.replaced = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        received: bytes = self._file.read(size if size >= 0 else None)
        text = self._decoded(received)
        if self._quotes:
            text = self._quotes.passed_on(text, last=not received)
        # An empty answer would mean the end.
        return text if text or not received else self.read(size)

    def _decoded(self, received: bytes) -> bytes:
        if received.isascii() and received and self._passes_ascii and not self._undecoded:
            return received
        text = self._decoder.decode(received, final=not received)
        self._undecoded = bool(self._decoder.getstate()[0])
        self.replaced = self.replaced or REPLACED in text
        return text.encode()

    def close(self) -> None:
        self._file.close()
        super().close()
