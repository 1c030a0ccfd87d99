"""The signature of a delivery: verified before anything is read, so that claims are read from signed bytes alone.

Light at import: the cryptography is imported where a file carries a signature.
"""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from claim_pipeline.errors import OperatorError, Quarantined
from claim_rules.signature import INVALID, REPORT, REQUIRED, UNSIGNED, VALID, Signature

if TYPE_CHECKING:
    from claim_pipeline.signature.trust import Trust
    from claim_pipeline.signature.verify import Verified
    from claim_pipeline.workspace import Workspace

RESULT = "signature.json"
CONTENT = "verified.xml"
CLOCK_TOLERANCE = timedelta(minutes=5)
"""By so much the signer's clock may be ahead of ours. Source: SIG-003."""

_NAMES = tuple("Signature".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))
_PIECE = 1 << 20
_STARTS = tuple("<".encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


def run(ws: Workspace) -> None:
    """Verifies the signature inside `ws.source` (not yet whose it is) and keeps the result in the working folder.

    Where it holds, `content(ws)` is from then on the file made of the signed bytes. Claim XML inside base64 or a zip is
    looked at like any other; of several files in one zip none can stand for the delivery.
    """
    from claim_pipeline.extract.wrapping import claim_files
    from claim_pipeline.settings import settings

    forget(ws)
    result: dict[str, Any] = {"state": UNSIGNED}
    if ws.source.stat().st_size <= settings().max_file_mib << 20:
        try:
            with claim_files(ws.source, settings().max_unpacked_mib << 20) as files:
                if any(may_be_signed(file) for file in files):
                    result = _look(files, ws.folder / CONTENT)
        except Quarantined:
            pass  # the reader will say so
    ws.write_json(RESULT, result)


def forget(ws: Workspace) -> None:
    """Takes the result of `run` back."""
    (ws.folder / CONTENT).unlink(missing_ok=True)
    (ws.folder / RESULT).unlink(missing_ok=True)


def _look(files: list[Path], verified: Path) -> dict[str, Any]:
    from claim_pipeline.signature.canonical import NotValid
    from claim_pipeline.signature.verify import verify

    try:
        if len(files) > 1:
            raise NotValid(
                "Nhiều tệp đã ký trong một tệp nén: hãy gửi từng tệp riêng",
                "there are several files in one zip: send each signed file by itself",
            )
        found = verify(files[0], verified)
    except NotValid as error:
        return {"state": INVALID, "reason_vi": error.vi, "reason_en": error.en}
    return {"state": UNSIGNED} if found is None else _as_json(found)


def content(ws: Workspace) -> Path:
    """The bytes from which the claims are read: the signed ones where the signature holds, else those received."""
    verified = ws.folder / CONTENT
    return verified if verified.exists() else ws.source


def may_be_signed(path: Path) -> bool:
    """Whether the file is XML in which the word Signature occurs: only then it is read for verification."""
    with path.open("rb") as stream:
        head = stream.read(512)
        if not head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(_STARTS):
            return False
        overlap = max(map(len, _NAMES)) - 1
        while piece := stream.read(_PIECE):  # not mapped: its pages would count as memory of this process
            if any(name in head + piece for name in _NAMES):
                return True
            head = piece[-overlap:]
    return False


def facts(ws: Workspace, trust: Trust | None = None) -> Signature:
    """What rules and outcome may know of the delivery's signature.

    trust: anchors and CRLs, None: those of the settings. The moment that decides is SigningTime, unless it is missing
    or lies after receipt: then the time of receipt.
    """
    delivery = ws.delivery
    expected = not (delivery.format or "").startswith(("emr-", "fhir-"))
    trust = trust or configured()
    wanted = wish(delivery.MA_CSKCB or "")
    result: dict[str, Any] = ws.read_json(RESULT) if (ws.folder / RESULT).exists() else {"state": UNSIGNED}
    if result["state"] == UNSIGNED and delivery.signed:
        result = {
            "state": INVALID,
            "reason_vi": "CHUKYDONVI có nội dung không kiểm tra được như chữ ký XMLDSig",
            "reason_en": "CHUKYDONVI holds something that cannot be verified as an XMLDSig signature",
        }
    if result["state"] != VALID:
        return Signature(expected=expected, policy=wanted["policy"], judged=trust is not None, **result)
    received = datetime.fromisoformat(delivery.received_at) if delivery.received_at else None
    judged = judge(_from_json(result), received, trust)
    profile = wanted["profile"]
    if profile not in ("any", judged.profile):
        return Signature(
            INVALID,
            expected,
            wanted["policy"],
            judged=trust is not None,
            reason_vi=f"Chữ ký theo mẫu {judged.profile}, đơn vị phải ký theo mẫu {profile}",
            reason_en=f"the signature follows profile {judged.profile}, the facility must sign by profile {profile}",
        )
    return replace(judged, expected=expected, policy=wanted["policy"], facility=delivery.MA_CSKCB or "")


def judge(found: Verified, received_at: datetime | None, trust: Trust | None) -> Signature:
    """A signature that holds, and whether its certificate was good when it signed. received_at: None is now."""
    from claim_pipeline.signature.canonical import NotValid
    from claim_pipeline.signature.trust import check
    from claim_pipeline.signature.verify import TIME_ZONE

    received = received_at or datetime.now(TIME_ZONE)
    told = found.signed_at
    late = told is not None and told > received + CLOCK_TOLERANCE
    moment = received if told is None or told > received else told
    trusted: bool | None = None
    vi = en = ""
    revocation_known = False
    if trust is not None:
        try:
            revocation_known = check(found.certificate, found.others, trust, signed_at=moment, received_at=received)
            trusted = True
        except NotValid as error:
            trusted, vi, en = False, error.vi, error.en
    return Signature(
        VALID,
        profile=found.profile,
        serial=found.serial,
        issuer=found.issuer,
        signed_at=told.astimezone(TIME_ZONE).strftime("%Y%m%d%H%M") if told is not None else "",
        day=moment.astimezone(TIME_ZONE).strftime("%Y%m%d"),
        late=late,
        judged=trust is not None,
        trusted=trusted,
        revocation_known=revocation_known,
        reason_vi=vi,
        reason_en=en,
    )


@dataclass(frozen=True)
class Told:
    """What is said to a person of one file's signature, Vietnamese and English."""

    good: bool
    vi: str
    en: str


def describe(path: Path, trust: Trust | None, received_at: datetime | None = None) -> Told:
    """Verifies one file. Good: the signature holds and, where trust anchors are given, its certificate is trusted."""
    from claim_pipeline.signature.canonical import NotValid
    from claim_pipeline.signature.verify import verify

    with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
        try:
            found = verify(path, Path(folder) / CONTENT)
        except NotValid as error:
            return Told(False, f"KHÔNG hợp lệ. {error.vi}.", f"NOT valid. {error.en}.")
    if found is None:
        return Told(False, "chưa ký số.", "not signed.")
    judged = judge(found, received_at, trust)
    what_vi, what_en = found.what
    whose = ", ".join(filter(None, [f"serial {judged.serial}", found.organisation]))
    vi = f"{what_vi}; chứng thư {whose}, nơi cấp {judged.issuer}"
    en = f"{what_en}; certificate {whose}, issuer {judged.issuer}"
    if found.signed_at is not None:
        moment = found.signed_at.isoformat(timespec="seconds")
        vi, en = f"{vi}; ký lúc {moment}", f"{en}; signed at {moment}"
    if trust is None:
        return Told(
            True,
            f"chữ ký khớp: {vi}. Chưa xét độ tin cậy của chứng thư (không có --trust).",
            f"the signature holds: {en}. Whether the certificate is trusted was not asked (no --trust).",
        )
    if not judged.trusted:
        return Told(
            False,
            f"chữ ký khớp nhưng chứng thư KHÔNG được tin cậy: {vi}. {judged.reason_vi}.",
            f"the signature holds but its certificate is NOT trusted: {en}. {judged.reason_en}.",
        )
    unknown_vi, unknown_en = (
        ("", "") if judged.revocation_known else (" Chưa có CRL để xét thu hồi.", " No CRL to ask for revocation.")
    )
    return Told(
        True,
        f"hợp lệ, chứng thư được tin cậy: {vi}.{unknown_vi}",
        f"valid, certificate trusted: {en}.{unknown_en}",
    )


def configured() -> Trust | None:
    """Trust anchors of the settings; None where none are set."""
    from claim_pipeline.settings import settings

    path = settings().trust
    return _trust(path) if path is not None else None


@cache
def _trust(path: Path) -> Trust:
    from claim_pipeline.signature.trust import load

    return load(path)


def wish(facility: str) -> dict[str, str]:
    """What is asked of a facility's signatures: {"policy": report or required, "profile": a, b or any}."""
    from claim_pipeline.settings import settings

    path = settings().signature_policy
    return _wishes(path, facility) if path is not None else {"policy": REPORT, "profile": "any"}


@cache
def _wishes(path: Path, facility: str) -> dict[str, str]:
    try:
        told = yaml.safe_load(path.read_text("utf-8")) or {}
        facilities = {str(code): values for code, values in (told.get("facilities") or {}).items()}
        out = {"policy": REPORT, "profile": "any", **(told.get("default") or {}), **(facilities.get(facility) or {})}
        right = set(out) == {"policy", "profile"} and out["policy"] in (REPORT, REQUIRED)
        right &= out["profile"] in ("a", "b", "any")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError, ValueError):
        right = False
    if not right:
        raise OperatorError(
            "signature-policy",
            f"Tệp {path.name} không đúng mẫu: default và facilities, mỗi mục có policy (report, required) và "
            "profile (a, b, any)",
            f"file {path.name} is not as it must be: default and facilities, each with policy (report, required) and "
            "profile (a, b, any)",
            "Sửa tệp theo tài liệu vận hành",
            "correct the file as the operators' guide says",
        )
    return out


def _as_json(found: Verified) -> dict[str, Any]:
    from cryptography.hazmat.primitives.serialization import Encoding

    chain = [found.certificate, *found.others]
    return {
        "state": VALID,
        "profile": found.profile,
        "signed_at": found.signed_at.isoformat() if found.signed_at is not None else None,
        "certificates": [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain],
    }


def _from_json(result: dict[str, Any]) -> Verified:
    from cryptography.x509 import load_der_x509_certificate

    from claim_pipeline.signature.verify import Verified

    signer, *others = [load_der_x509_certificate(base64.b64decode(text)) for text in result["certificates"]]
    told = result["signed_at"]
    return Verified(result["profile"], signer, others, datetime.fromisoformat(told) if told else None)
