"""Text files in whatever encoding: which one it is, and the same text as UTF-8."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from typing import IO, Literal, cast

from claim_pipeline.extract.legacy_text import western_text

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "8-bit"]
"""8-bit: one byte per character, which character is for `legacy_text` to say."""

HEAD = 1 << 20
_MARKS: tuple[tuple[bytes, Encoding], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MULTI_BYTE = re.compile(b"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(b"[\x80-\xff]+")
_CONTROLS = re.compile(b"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_UTF16_ZEROS = 0.2  # share of characters that are western letters, digits, delimiters; in Vietnamese text two thirds


def encoding_of(head: bytes) -> Encoding | None:
    """The encoding of a text that begins with these bytes (a MiB tells enough); None where it is no text or a UTF-8
    with wrong bytes in it."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    wide = _without_mark(head) if b"\0" in head else None
    if wide is not None:
        return wide
    if len(_CONTROLS.findall(head)) > max(4, len(head) // 100):
        return None
    return _of_high_bytes(head)


def encoding_of_whole(stream: IO[bytes]) -> Encoding | None:
    """The same of a file whose first MiB says nothing, by all of its bytes beyond ASCII."""
    high = bytearray()
    while chunk := stream.read(HEAD):
        high += b" ".join(_HIGH.findall(chunk))
        if len(high) > HEAD:
            break
    return _of_high_bytes(bytes(high))


def _of_high_bytes(text: bytes) -> Encoding | None:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(text)
    except UnicodeDecodeError:
        high = sum(map(len, _HIGH.findall(text)))
        sound = sum(map(len, _MULTI_BYTE.findall(text)))
        return None if sound > high // 2 else "8-bit"
    return "utf-8"


def _without_mark(head: bytes) -> Encoding | None:
    pairs = len(head) // 2
    little, big = head[1 : 2 * pairs : 2].count(0), head[0 : 2 * pairs : 2].count(0)
    if max(little, big) < _UTF16_ZEROS * pairs or min(little, big) > pairs // 100:
        return None
    return "utf-16-le" if little > big else "utf-16-be"


def text_of(head: bytes, encoding: Encoding) -> str:
    """The text of the beginning of a file, without a mark; a character that is cut off at its end is left out.

    Raises UnicodeDecodeError.
    """
    if encoding == "8-bit":
        return western_text(head)
    return codecs.getincrementaldecoder(encoding)().decode(head).removeprefix("\ufeff")


def as_utf8(stream: IO[bytes], encoding: Encoding) -> IO[bytes]:
    """The stream with its text in UTF-8. Reading raises UnicodeDecodeError where the text is damaged."""
    if encoding == "utf-8":
        return stream
    if encoding == "8-bit":
        transcoded = _Transcoded(stream, lambda chunk, last: western_text(chunk))
    else:
        transcoded = _Transcoded(stream, codecs.getincrementaldecoder(encoding)().decode)
    return cast("IO[bytes]", transcoded)


class _Transcoded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], decode: Callable[[bytes, bool], str]) -> None:
        self._stream = stream
        self._decode = decode
        self._ready = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._ready) < size):
            chunk = self._stream.read(HEAD)
            self._ended = not chunk
            self._ready += self._decode(chunk, self._ended).encode("utf-8", "replace")
        size = len(self._ready) if size < 0 else size
        out, self._ready = self._ready[:size], self._ready[size:]
        return out
