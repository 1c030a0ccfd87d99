"""SIG: who signed the claims, and does the signature stand for what was read?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import CROSS, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import HISTORY, SIGNATURE, TRUST, Case, claim_findings
from claim_rules.findings import REJECT_CLAIM, WARN, findings
from claim_rules.reference import missing
from claim_rules.signature import CERTIFICATES, REQUIRED, UNSIGNED, VALID

BOX = "CHUKYDONVI"
BASIS = (
    "Nghị định 188/2025/NĐ-CP Điều 35 khoản 2 điểm c, Điều 69 khoản 9; "
    "Thông tư 12/2026/TT-BTC Điều 2 khoản 2, Điều 9 khoản 1"
)


def _told(rule_id: str, case: Case, vi: str, en: str, observed: str = "") -> pd.DataFrame:
    """One warning about the delivery; where the facility must sign, the refusal of every claim in it."""
    if case.signature.policy != REQUIRED:
        row = {"severity": WARN, "field": BOX, "observed": observed, "detail_vi": vi, "detail_en": en}
        return findings([{"rule": rule_id, **row}])
    everything = pd.Series(True, index=case.visits.index)
    return claim_findings(
        rule_id,
        case.visits,
        everything,
        severity=REJECT_CLAIM,
        field=BOX,
        observed=observed,
        detail_vi=vi,
        detail_en=en,
    )


@rule(
    "SIG-001",
    stage=CROSS,
    level="delivery",
    severity=WARN,
    decisions=DECISIONS,
    facts=(SIGNATURE,),
    title_vi="Tệp hồ sơ có chữ ký số hợp lệ của cơ sở (cảnh báo; từ chối nếu đơn vị bắt buộc ký)",
    title_en="The claims carry a valid signature of the facility (warns; refuses where the facility must sign)",
    message_vi="Chữ ký số của tệp không được chấp nhận.",
    message_en="The file's signature is not accepted.",
    basis=BASIS,
)
def signed(case: Case) -> pd.DataFrame:
    """Unsigned, or the signature does not hold over what is read; from the day of receipt on which it is a duty."""
    facts = case.signature
    if not facts.expected or facts.state == VALID or not law.parameter("signature").at(case.received_day):
        return findings()
    if facts.state == UNSIGNED:
        return _told(
            "SIG-001",
            case,
            "Tệp hồ sơ chưa được ký số (CHUKYDONVI trống)",
            "the claims are not signed (CHUKYDONVI is empty)",
        )
    return _told(
        "SIG-001", case, f"Chữ ký số không hợp lệ: {facts.reason_vi}", f"the signature is not valid: {facts.reason_en}"
    )


@rule(
    "SIG-002",
    stage=CROSS,
    level="delivery",
    severity=WARN,
    decisions=DECISIONS,
    facts=(TRUST,),
    wants=CERTIFICATES,
    title_vi="Chứng thư số đáng tin cậy và đã đăng ký cho cơ sở (cảnh báo; từ chối nếu đơn vị bắt buộc ký)",
    title_en="The certificate is trusted and registered for the facility (warns; refuses where the facility must sign)",
    message_vi="Chứng thư số {observed} không được chấp nhận.",
    message_en="Certificate {observed} is not accepted.",
    basis=BASIS,
)
def trusted(case: Case) -> pd.DataFrame:
    """Expired or revoked when it signed, no chain to a trust anchor, or not registered for MA_CSKCB on that day."""
    facts = case.signature
    if facts.state != VALID:
        return findings()
    if not facts.trusted:
        return _told(
            "SIG-002",
            case,
            f"Chứng thư {facts.serial}: {facts.reason_vi}",
            f"certificate {facts.serial}: {facts.reason_en}",
            facts.serial,
        )
    if missing(case.reference, CERTIFICATES):
        return findings()
    if facts.registered(case.reference["certificates"]):
        return findings()
    return _told(
        "SIG-002",
        case,
        f"Chứng thư {facts.serial} chưa được đăng ký cho cơ sở {facts.facility} vào ngày ký",
        f"certificate {facts.serial} was not registered for facility {facts.facility} on the day of signing",
        facts.serial,
    )


@rule(
    "SIG-003",
    stage=CROSS,
    level="delivery",
    severity=WARN,
    decisions=DECISIONS,
    facts=(SIGNATURE,),
    title_vi="Thời điểm ký hợp lý",
    title_en="The time of signing makes sense",
    message_vi="Ký lúc {observed}, trước khi người bệnh ra viện ({expected}).",
    message_en="Signed at {observed}, before the patient left ({expected}).",
    basis=f"{BASIS}; chữ ký mẫu 09/BH có SigningTime",
)
def signing_time(case: Case) -> pd.DataFrame:
    """SigningTime (profile b) is missing, after receipt by more than 5 minutes, or before NGAY_RA of a claim."""
    facts = case.signature
    if facts.state != VALID or facts.profile != "b":
        return findings()
    row = {"rule": "SIG-003", "severity": WARN, "field": "SigningTime", "observed": facts.signed_at}
    if not facts.signed_at:
        vi, en = "Chữ ký không ghi thời điểm ký đọc được", "the signature gives no readable time of signing"
        return findings([{**row, "detail_vi": vi, "detail_en": en}])
    if facts.late:
        vi, en = "Thời điểm ký sau thời điểm nhận", "the time of signing lies after the time of receipt"
        return findings([{**row, "detail_vi": vi, "detail_en": en}])
    left = case.visits["NGAY_RA"].str.strip()
    early = left.str.fullmatch("[0-9]{12}") & (left > facts.signed_at)
    return claim_findings("SIG-003", case.visits, early, field="NGAY_RA", observed=facts.signed_at, expected=left)


@rule(
    "SIG-004",
    stage=CROSS,
    level="cross-claim",
    severity=WARN,
    decisions=DECISIONS,
    facts=(HISTORY,),
    title_vi="Hồ sơ đã nhận trước đây với nội dung khác",
    title_en="The claim was received before with other content",
    message_vi="MA_LK {observed} đã nhận ngày {expected} với nội dung khác; bản này là phiên bản mới.",
    message_en="MA_LK {observed} was received on {expected} with other content; this is a new version of it.",
    basis="Thông tư 48/2017/TT-BYT Điều 13 khoản 9",
)
def new_version(case: Case) -> pd.DataFrame:
    """The same MA_CSKCB and MA_LK came in an earlier delivery and something in it was different."""
    earlier = case.history["versions"].drop_duplicates("claim").set_index("claim")["received"]
    received = pd.Series(case.visits.index, index=case.visits.index).map(earlier).astype("object")
    return claim_findings(
        "SIG-004",
        case.visits,
        received.notna(),
        field="MA_LK",
        observed=case.visits["MA_LK"],
        expected=received.fillna("").astype("str"),
    )
