"""Vietnamese text that was written in the encodings before Unicode (TCVN3, VNI, windows-1258): told and converted.

What a text is cannot be known from its bytes alone, so it is judged by what it says: each reading is scored by how many
of its words are Vietnamese syllables.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from importlib.resources import files

import pyarrow as pa
import pyarrow.compute as pc

TCVN3, VNI, WINDOWS_1258 = "tcvn3", "vni", "windows-1258"
SCHEMES = (WINDOWS_1258, TCVN3, VNI)

_TEXT = pa.large_string()
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")
_WORD = re.compile(r"[A-Za-z\u0080-\uffff]+")
_LETTER = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]")
_SAMPLE_CELLS = 2_000
_PLAUSIBLE = 0.5  # share of the words with marks that must be Vietnamese; wrong readings stay below 0.2
_SYLLABLE = re.compile(
    "(?:ngh?|nh|th|tr|ch|gh|gi|kh|ph|qu|[bcdđghklmnprstvx])?"
    "(?:a(?:c|ch|i|m|n|ng|nh|o|p|t|u|y)?|ă(?:c|m|n|ng|p|t)|â(?:c|m|n|ng|p|t|u|y)"
    "|e(?:c|m|n|ng|o|p|t)?|ê(?:ch|c|m|n|ng|nh|p|t|u)?|i(?:a|ch|êc|êm|ên|êng|êp|êt|êu|m|n|nh|p|t|u)?"
    "|oă(?:c|m|n|ng|t)|oa(?:c|ch|i|m|n|ng|nh|o|p|t|y)?|oe(?:n|o|t)?|oo(?:c|ng)|o(?:c|i|m|n|ng|p|t)?"
    "|ô(?:c|i|m|n|ng|p|t)?|ơ(?:i|m|n|p|t)?|uâ(?:n|ng|t|y)|uê(?:ch|nh)?|uô(?:c|i|m|n|ng|t)|uơ"
    "|uy(?:a|ch|ên|êt|n|nh|t|u)?|u(?:a|c|i|m|n|ng|p|t)?|ươ(?:c|i|m|n|ng|p|t|u)|ư(?:a|c|i|m|n|ng|t|u)?"
    "|y(?:êm|ên|êng|êt|êu|n|t)?)"
)
_MARKED_CONSONANT = re.compile("[^aeiouy\u0302\u0306\u031b][\u0300\u0301\u0303\u0309\u0323]")
_MARKED_GLIDE = re.compile(
    "(?!(?:qui|giu)[\u0300\u0301\u0303\u0309\u0323]$).*"
    "(?:a[iouy]|\u00e2[uy]|eo|\u00eau|iu|[o\u00f4\u01a1u\u01b0]i|\u01b0u)[\u0300\u0301\u0303\u0309\u0323]"
)
"""A tone on the glide that closes a syllable ("quaò"): it stands on the vowel before."""


def convert(text: str, scheme: str) -> str:
    """Text as programs that know only western letters show it, in Unicode form C."""
    return unicodedata.normalize("NFC", _converters()[scheme](text))


def detect(texts: Iterable[str], prior: str | None = None) -> str | None:
    """The scheme in which most words with marks are Vietnamese, None: as they are, or nothing is told by them.

    prior: the scheme of what stands around them, taken where they say nothing themselves.
    """
    # one letter alone may be a word in any of them
    words = Counter(word for text in texts for word in _WORD.findall(text) if len(word) > 1 and not word.isascii())
    total = words.total()
    if not total:
        return prior
    shares = {
        scheme: sum(times for word, times in words.items() if _is_vietnamese(word, scheme)) / total
        for scheme in (None, *SCHEMES)
    }
    best = max(shares, key=lambda scheme: (shares[scheme], scheme == prior, scheme is None))
    if shares[best] >= _PLAUSIBLE:
        return best
    return prior if not any(shares.values()) else None


def is_vietnamese(texts: Iterable[str]) -> bool:
    """Whether words with western letters beyond ASCII are Vietnamese as they stand; also true where there are none."""
    words = [word for text in texts for word in _WORD.findall(text) if _LETTER.search(word)]
    return sum(_is_vietnamese(word, None) for word in words) >= _PLAUSIBLE * len(words)


def to_unicode(column: pa.Array, prior: str | None = None) -> tuple[pa.Array, str | None]:
    """A column of text, converted where it is in one of the schemes, and which one it was."""
    marked = pc.invert(pc.fill_null(pc.string_is_ascii(column), True))
    if not pc.any(marked).as_py():
        return column, None
    scheme = detect(column.filter(marked).slice(0, _SAMPLE_CELLS).to_pylist(), prior)
    if scheme is None:
        return column, None
    encoded = column.dictionary_encode()
    values = pa.array([convert(text, scheme) for text in encoded.dictionary.to_pylist()], _TEXT)
    return values.take(encoded.indices), scheme


@lru_cache(maxsize=50_000)
def _is_vietnamese(word: str, scheme: str | None) -> bool:
    read = unicodedata.normalize("NFC", word) if scheme is None else convert(word, scheme)
    if read.isascii() or (read[:1].islower() and not read.islower()):  # a capital within: a letter that is none
        return False
    apart = unicodedata.normalize("NFD", read.lower())
    tones = sum(char in _TONES for char in apart)
    bare = unicodedata.normalize("NFC", "".join(char for char in apart if char not in _TONES))
    if tones and (
        _MARKED_CONSONANT.search(apart) or (apart[-1] in _TONES and _MARKED_GLIDE.fullmatch(bare + apart[-1]))
    ):
        return False
    return tones <= 1 and _SYLLABLE.fullmatch(bare) is not None


@cache
def _converters() -> dict[str, Callable[[str], str]]:
    return {TCVN3: _from_tcvn3, VNI: _from_vni, WINDOWS_1258: lambda text: text.translate(_windows_1258())}


def _from_tcvn3(text: str) -> str:
    # a font of capitals draws the small letters as capitals: a cell with words in capitals alone was written in one
    capitals = re.search("[A-Z]{2}", text) is not None and re.search("[a-z]", text) is None
    found = text.translate(_tcvn3())
    return found.upper() if capitals and found != text else found


def _from_vni(text: str) -> str:
    letters = _vni()
    return _vni_pattern().sub(lambda found: letters[found.group()], text)


@cache
def _tcvn3() -> dict[int, str]:
    return {ord(codes): letter for codes, letter in table(TCVN3).items()}


@cache
def _vni() -> dict[str, str]:
    return table(VNI)


@cache
def _vni_pattern() -> re.Pattern[str]:
    return re.compile("|".join(sorted(map(re.escape, _vni()), key=len, reverse=True)))


@cache
def _windows_1258() -> dict[int, str]:
    """From what windows-1252 shows to what windows-1258 means by the same byte."""
    out = {}
    for byte in range(0x80, 0x100):
        try:
            out[ord(western_text(bytes([byte])))] = bytes([byte]).decode("cp1258")
        except UnicodeDecodeError:
            continue
    return out


@cache
def table(scheme: str) -> dict[str, str]:
    """What the codes of TCVN3 or VNI look like in windows-1252 -> the letter that they stand for."""
    text = files(__package__).joinpath(f"{scheme}.csv").read_text("utf-8")
    return {western_text(bytes.fromhex(row["codes"])): row["letter"] for row in csv.DictReader(io.StringIO(text))}


def western_text(content: bytes) -> str:
    """Bytes as windows-1252; the five bytes that it lacks as the control characters of ISO 8859-1."""
    return content.decode("latin-1").translate(_controls())


@cache
def _controls() -> dict[int, str]:
    out = {}
    for byte in range(0x80, 0xA0):
        try:
            out[byte] = bytes([byte]).decode("cp1252")
        except UnicodeDecodeError:
            continue
    return out
