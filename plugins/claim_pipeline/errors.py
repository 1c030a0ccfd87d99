"""Errors that a person reads: each has a code, what happened and what to do next, in Vietnamese and English."""

from __future__ import annotations


class GiamdinhError(Exception):
    """Base of all our errors. Texts never hold personal data.

    code: a rule id or a word such as "not-a-delivery"; message_*: what happened and where; next_*: what to do.
    """

    def __init__(self, code: str, message_vi: str, message_en: str, next_vi: str = "", next_en: str = "") -> None:
        super().__init__(f"{code}: {message_en}")
        self.code = code
        self.message_vi = message_vi
        self.message_en = message_en
        self.next_vi = next_vi
        self.next_en = next_en


class Quarantined(GiamdinhError):
    """The delivery as a whole cannot be taken: it is kept, reported to its sender and not appraised."""

    def __init__(
        self,
        code: str,
        message_vi: str,
        message_en: str,
        next_vi: str = "",
        next_en: str = "",
        *,
        format: str | None = None,
        ma_cskcb: str | None = None,
        declared_claims: int | None = None,
        read_claims: int | None = None,
    ) -> None:
        super().__init__(code, message_vi, message_en, next_vi, next_en)
        self.format = format
        self.ma_cskcb = ma_cskcb
        self.declared_claims = declared_claims
        self.read_claims = read_claims


class ReferenceDataError(GiamdinhError):
    """A reference-data file cannot be used."""


class OperatorError(GiamdinhError):
    """Something of ours is not as it must be (database, folders, settings): nothing is said about a claim."""
