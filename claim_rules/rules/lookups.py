"""CARD, when the card was shown: the facility's log of card look-ups (card_lookups.csv)."""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import CARD, rule
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.findings import REJECT_LINE, WARN, findings
from claim_rules.rules.card import APPRAISAL

LOG = {"card_lookups": ("MA_CSKCB", "MA_LK", "THOI_DIEM")}
ANSWERS = {"card_lookups": (*LOG["card_lookups"], "KET_QUA")}
_MINUTE = "[0-9]{12}"


def _looked_up(case: Case, *columns: str) -> pd.DataFrame:
    """Look-ups of the claims: claim, THOI_DIEM (yyyymmddHHMM) and the columns asked. A row without a time is none."""
    log = case.reference["card_lookups"]
    names = ["MA_CSKCB", "MA_LK", "THOI_DIEM", *columns]
    rows = pd.DataFrame({name: log[name].fillna("").str.strip() for name in names})
    rows["THOI_DIEM"] = rows["THOI_DIEM"].str[:12]
    rows = rows[rows["THOI_DIEM"].str.fullmatch(_MINUTE) & (rows["MA_LK"] != "")]
    own = case.visits[["MA_CSKCB", "MA_LK"]].reset_index(names="claim")
    return own.merge(rows, on=["MA_CSKCB", "MA_LK"])[["claim", "THOI_DIEM", *columns]]


@rule(
    "CARD-014",
    stage=CARD,
    level="line",
    severity=REJECT_LINE,
    needs=LOG,
    since="20250815",
    title_vi="Y lệnh không trước thời điểm xuất trình thẻ",
    title_en="Nothing is claimed from before the card was presented",
    message_vi="Y lệnh {observed} trước thời điểm xuất trình thẻ {expected} (không cấp cứu): thanh toán trực tiếp.",
    message_en="Ordered at {observed}, before the card was presented at {expected}, no emergency: direct payment.",
    basis=f"Nghị định 188/2025/NĐ-CP Điều 38 khoản 1, Điều 50 khoản 6; {APPRAISAL}",
)
def before_presentation(case: Case) -> pd.DataFrame:
    """NGAY_YL of a paid line before the first look-up of the card for this claim, whatever that answered; not for
    emergencies (MA_DOITUONG_KCB 2).

    When the card was presented is no element of the claim: the facility's log of look-ups tells (card_lookups.csv:
    MA_CSKCB, MA_LK, THOI_DIEM as yyyymmddHHMM). A claim that the log does not hold is not judged.
    """
    lines = case.lines
    first = _looked_up(case).groupby("claim")["THOI_DIEM"].min()
    emergency = case.visits.index[case.visits["MA_DOITUONG_KCB"] == law.load("emergency")["code"]]
    first = first[~first.index.isin(emergency)]
    if first.empty:
        return findings()
    shown = lines["claim"].map(first)
    where = shown.notna() & lines["NGAY_YL"].str.fullmatch(_MINUTE) & (lines["NGAY_YL"] < shown.fillna(""))
    where &= lines["T_BHTT"] > 0
    return line_findings(
        "CARD-014", lines, where, field="NGAY_YL", observed=lines["NGAY_YL"], expected=shown.fillna("").astype("str")
    )


@rule(
    "CARD-019",
    stage=CARD,
    level="claim",
    severity=WARN,
    needs=ANSWERS,
    since="20250815",
    title_vi="Không tra cứu được thẻ: phải lưu bằng chứng tra cứu",
    title_en="A card that could not be looked up: evidence of the attempt is kept",
    message_vi="Thẻ chưa tra cứu được trên Cổng; lưu bằng chứng tra cứu lỗi và xác minh sau.",
    message_en="The card could not be looked up on the portal; keep the evidence of the failure and verify later.",
    basis=f"Nghị định 188/2025/NĐ-CP Điều 38 khoản 2; {APPRAISAL}",
)
def never_verified(case: Case) -> pd.DataFrame:
    """The log holds look-ups of the claim, and every one of them failed (law/card_lookups). Nothing is refused for that
    alone. A claim without a row is not judged: the log may not be the whole one."""
    rows = _looked_up(case, "KET_QUA")
    failed = rows["KET_QUA"].isin(law.load("card_lookups")["failed"])
    all_failed = failed.groupby(rows["claim"]).all()
    never = all_failed.index[all_failed]
    if never.empty:
        return findings()
    told = rows[rows["claim"].isin(never)].drop_duplicates(["claim", "KET_QUA"]).sort_values(["claim", "KET_QUA"])
    answers = told.groupby("claim")["KET_QUA"].agg(", ".join).reindex(case.visits.index, fill_value="").astype("str")
    where = pd.Series(case.visits.index.isin(never), index=case.visits.index)
    return claim_findings(
        "CARD-019",
        case.visits,
        where,
        field="MA_THE_BHYT",
        detail_vi="mã trả về: " + answers,
        detail_en="answers: " + answers,
    )
