"""Vietnamese text from before Unicode: every letter converts, what it is is told by what it says."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from claim_pipeline.extract import legacy_text
from claim_pipeline.extract.legacy_text import TCVN3, VNI, WINDOWS_1258

SENTENCES = (
    "Bệnh nhân Nguyễn Thị Ước, đau bụng vùng thượng vị, ợ hơi, quặn từng cơn",
    "Kết quả xét nghiệm bình thường; huyết áp 120/70, mạch 80 lần/phút",
    "Gãy kín khuỷu tay trái, đã bó bột, hẹn tái khám sau bảy ngày",
    "Trẻ sốt cao 39°C, ho nhiều, khò khè, được truyền dịch và hạ sốt",
)
LETTERS = "àảãáạăằẳẵắặâầẩẫấậèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵđ"
WORDS = [
    word
    for sentence in SENTENCES
    for word in sentence.split()
    if not word.isascii() and sum(map(str.isalpha, word)) > 1
]
SHOWN_AS_OTHERS = {
    TCVN3: {"bụng", "bột,", "từng", "bó", "sốt"},
    VNI: {"bình", "cơn", "hơi,", "kín", "sốt", "thị", "vị,"},
}
"""Words that are shown as other Vietnamese words: "bụng" as "bông", "cơn" as "côn"."""


def written(text: str, scheme: str) -> str:
    """The text as a program of that time wrote it and a program of today shows it."""
    if scheme == WINDOWS_1258:
        return legacy_text.western_text(in_1258(text))
    letters = {letter: codes for codes, letter in legacy_text.table(scheme).items()}
    return "".join(letters.get(char, char) for char in text)


def in_1258(text: str) -> bytes:
    out = bytearray()
    for char in text:
        try:
            out += char.encode("cp1258")
        except UnicodeEncodeError:
            apart = unicodedata.normalize("NFD", char)
            tones = "".join(c for c in apart if c in "\u0300\u0301\u0303\u0309\u0323")
            rest = unicodedata.normalize("NFC", "".join(c for c in apart if c not in tones))
            out += (rest + tones).encode("cp1258")
    return bytes(out)


@pytest.mark.parametrize("scheme", legacy_text.SCHEMES)
def test_every_letter_has_its_code(scheme: str) -> None:
    letters = LETTERS if scheme == TCVN3 else LETTERS + LETTERS.upper()
    assert [legacy_text.convert(written(letter, scheme), scheme) for letter in letters] == list(letters)


@pytest.mark.parametrize("scheme", legacy_text.SCHEMES)
@given(st.text("abcxyz ,.;0123456789-" + LETTERS))
def test_what_was_written_is_read(scheme: str, text: str) -> None:
    assert legacy_text.convert(written(text, scheme), scheme) == text


@pytest.mark.parametrize("scheme", legacy_text.SCHEMES)
@given(st.lists(st.sampled_from(WORDS), min_size=4, unique=True))
def test_four_words_tell_what_they_are(scheme: str, words: list[str]) -> None:
    text = " ".join(words)
    assume(not SHOWN_AS_OTHERS.get(scheme, set()).issuperset(words))
    # in windows-1258 without a tone apart and without đ, what is shown may be Vietnamese too: "hơi" and "hõi"
    assume(scheme != WINDOWS_1258 or any(byte in b"\xcc\xd2\xde\xec\xf2\xf0" for byte in in_1258(text.lower())))
    column, found = legacy_text.to_unicode(pa.array([written(text.lower(), scheme), "abc"], pa.large_string()))
    assert (column.to_pylist(), found) == ([text.lower(), "abc"], scheme)


@pytest.mark.parametrize(
    ("shown", "meant"),
    [
        ("quaÒ cõn hõi, nhân", "quả cơn hơi, nhân"),  # no capital stands within a word
        ("haò tái vùng cõn", "hạ tái vùng cơn"),  # no tone stands on the glide that ends a syllable
    ],
)
def test_words_that_could_be_read_as_they_stand_but_for_their_spelling(shown: str, meant: str) -> None:
    column, found = legacy_text.to_unicode(pa.array([shown], pa.large_string()))
    assert (column.to_pylist(), found) == ([meant], WINDOWS_1258)


@pytest.mark.parametrize("text", ["quí ngài giúp người già", "thuý hoà khoẻ quỳnh", "mưa gió mía lùa nghĩa"])
def test_older_places_of_the_tone_are_vietnamese_too(text: str) -> None:
    assert legacy_text.detect(text.split()) is None
    assert legacy_text.is_vietnamese(text.split())


@pytest.mark.parametrize("sentence", SENTENCES)
def test_what_is_unicode_stays(sentence: str) -> None:
    assert legacy_text.detect([sentence, sentence.upper()]) is None
    assert legacy_text.is_vietnamese([sentence])


@pytest.mark.parametrize("text", ["10 µg/ml", "37°C", "Ménière", "Sjögren", "Guillain–Barré", "β-lactam", "x²", "±"])
def test_what_is_not_vietnamese_stays(text: str) -> None:
    assert legacy_text.detect([text]) is None


def test_the_font_of_capitals_of_tcvn3() -> None:
    assert legacy_text.convert(written("NGUYễN THị ĐÀO".replace("À", "à"), TCVN3), TCVN3) == "NGUYỄN THỊ ĐÀO"
    assert legacy_text.convert(written("Võ Lê Ất".replace("Ấ", "ấ"), TCVN3), TCVN3) == "Võ Lê ất"


def test_words_that_say_nothing_follow_the_rest() -> None:
    assert legacy_text.detect(["Pháp"], None) is None
    assert legacy_text.detect(["ö"], VNI) == VNI
    assert legacy_text.detect(["\xbf\xbf"], TCVN3) == TCVN3


def test_few_words_of_another_kind_do_not_mislead() -> None:
    texts = [written(sentence, VNI) for sentence in SENTENCES] + ["Ménière", "µg"]
    assert legacy_text.detect(texts) == VNI
