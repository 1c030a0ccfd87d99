"""What was found out about the signature of a delivery: facts for the rules, without any cryptography."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

UNSIGNED, INVALID, VALID = "unsigned", "invalid", "valid"
REPORT, REQUIRED = "report", "required"

CERTIFICATES = {"certificates": ("MA_CSKCB", "SERIAL", "ISSUER", "TU_NGAY", "DEN_NGAY")}
"""Reference data that say which certificate a facility may sign with."""


@dataclass(frozen=True)
class Signature:
    """state: UNSIGNED, INVALID or VALID (cryptographically, and over all that is read). expected: whether this form of
    delivery carries a signature (claim XML does, an export of a record system does not). policy: REPORT, what SIG-001
    and SIG-002 find warns; REQUIRED, it refuses the claims. judged: trust anchors were given; trusted: what they said
    of chain, validity and revocation (None: nothing); revocation_known: every certificate was looked up in a CRL.
    facility: MA_CSKCB whose delivery it is. reason_*: why it is invalid or untrusted. signed_at: yyyymmddHHMM in Viet
    Nam, "" unknown; late: it lies after receipt. day: yyyymmdd on which the certificate is judged. serial: hexadecimal;
    issuer: RFC 4514."""

    state: str = UNSIGNED
    expected: bool = True
    policy: str = REPORT
    facility: str = ""
    profile: str = ""
    serial: str = ""
    issuer: str = ""
    signed_at: str = ""
    day: str = ""
    late: bool = False
    judged: bool = False
    trusted: bool | None = None
    revocation_known: bool = False
    reason_vi: str = ""
    reason_en: str = ""

    def registered(self, certificates: pd.DataFrame | None) -> bool:
        """Whether the certificate is registered for the facility on the day (certificates.csv; None: not known)."""
        if certificates is None or not self.serial:
            return False
        rows = certificates.fillna("")
        of_day = (rows["TU_NGAY"].str.strip() <= self.day) & (
            (rows["DEN_NGAY"].str.strip() == "") | (rows["DEN_NGAY"].str.strip() >= self.day)
        )
        mine = rows[(rows["MA_CSKCB"].str.strip() == self.facility) & of_day]
        return any(
            _same_serial(serial, self.serial) and _same_issuer(issuer, self.issuer)
            for serial, issuer in zip(mine["SERIAL"], mine["ISSUER"], strict=True)
        )

    def reasons(self, certificates: pd.DataFrame | None) -> list[str]:
        """Why claims of this delivery are not paperless (contracts, paperless_reasons)."""
        if self.state == UNSIGNED:
            return ["unsigned"]
        if self.state == INVALID:
            return ["signature-invalid"]
        out = [] if self.trusted else ["signature-untrusted"]
        return out if self.registered(certificates) else [*out, "certificate-not-registered"]


def _same_serial(given: str, serial: str) -> bool:
    text = given.replace(" ", "").replace(":", "").upper().removeprefix("0X")
    number = int(serial, 16)
    if text.isdecimal() and int(text) == number:
        return True
    try:
        return int(text, 16) == number
    except ValueError:
        return False


def _same_issuer(given: str, issuer: str) -> bool:
    """The same name: the whole one in any order and spacing, or its common name alone."""
    wanted, parts = _parts(given), _parts(issuer)
    common = {value for kind, value in parts if kind == "CN"}
    return bool(wanted) and (wanted == parts or {value for _, value in wanted} == common)


def _parts(name: str) -> set[tuple[str, str]]:
    out = set()
    for part in name.replace("\\,", "\0").split(","):
        kind, equals, value = part.partition("=")
        text = (value if equals else kind).strip().casefold().replace("\0", ",")
        if text:
            out.add((kind.strip().upper() if equals else "CN", text))
    return out
