"""Files as streams of valid UTF-8, whatever their bytes are."""

import codecs
import io
from pathlib import Path

import pyarrow as pa

REPLACED = "\ufffd"


class Utf8Stream(io.RawIOBase):
    """A file's bytes, uncompressed, with U+FFFD for what is not UTF-8: `replaced` says whether there was any.

    Arrow's CSV parser gives a file up at a ragged line that is not UTF-8; by this stream it never meets one.
    """

    def __init__(self, path: Path) -> None:
        self._file = pa.input_stream(str(path), compression="detect")
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._undecoded = False
        self.replaced = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        received: bytes = self._file.read(size if size >= 0 else None)
        if received.isascii() and received and not self._undecoded:
            return received
        text = self._decoder.decode(received, final=not received)
        self._undecoded = bool(self._decoder.getstate()[0])
        self.replaced = self.replaced or REPLACED in text
        # An empty answer would mean the end.
        return text.encode() if text or not received else self.read(size)

    def close(self) -> None:
        self._file.close()
        super().close()
