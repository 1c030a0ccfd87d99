"""CARD: is there a valid card?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import CARD, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import REJECT_CLAIM
from claim_rules.reference import OPEN_END

APPRAISAL = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm a"
CARD_PATTERN = r"[A-Z]{2}[1-5]\d{2}\d{10}"


def _paper_groups() -> tuple[str, ...]:
    return tuple(law.load("card_rates")["paper_validity_groups"]["codes"])


@rule(
    "CARD-001",
    stage=CARD,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Mã thẻ BHYT đúng cấu trúc",
    title_en="The card number has the right form",
    message_vi="Mã thẻ {observed} không đúng cấu trúc (2 chữ mã đối tượng, mức hưởng 1-5, 2 số tỉnh, 10 chữ số).",
    message_en="Card {observed} is not of the right form (2 letters of the group, digit 1-5, province, 10 digits).",
    basis=f"Quyết định 1351/QĐ-BHXH, 1697/QĐ-BHXH; {APPRAISAL}",
    decisions=DECISIONS,
)
def card_form(case: Case) -> pd.DataFrame:
    """Every item of the card list: two letters, benefit digit 1-5, province, ten digits."""
    card = case.visits["MA_THE_BHYT"]
    where = (card != "") & ~card.str.fullmatch(rf"{CARD_PATTERN}(;{CARD_PATTERN})*")
    return claim_findings("CARD-001", case.visits, where, field="MA_THE_BHYT", observed=card)


@rule(
    "CARD-002",
    stage=CARD,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Thẻ BHYT có trong dữ liệu thẻ",
    title_en="The card is in the card register",
    message_vi="Không tìm thấy thẻ {observed} trong dữ liệu thẻ BHYT.",
    message_en="Card {observed} is not in the card register.",
    basis=f"Luật BHYT Điều 16, Điều 28; {APPRAISAL}",
    needs={"cards": ("MA_THE_BHYT",)},
    decisions=DECISIONS,
)
def card_unknown(case: Case) -> pd.DataFrame:
    """None of the claim's cards is in the register; cards of army, police and cipher staff are not looked up."""
    held = case.cards
    register = set(case.reference["cards"]["MA_THE_BHYT"].fillna("").str.strip())
    fine = held["card"].isin(register) | held["card"].str.startswith(_paper_groups())
    known = fine.groupby(held["claim"]).any().reindex(case.visits.index)
    where = known.notna() & ~known.fillna(True).astype("bool")
    return claim_findings("CARD-002", case.visits, where, field="MA_THE_BHYT", observed=case.visits["MA_THE_BHYT"])


@rule(
    "CARD-008",
    stage=CARD,
    level="claim",
    severity=REJECT_CLAIM,
    title_vi="Thẻ BHYT còn hạn khi vào viện",
    title_en="The card is valid on arrival",
    message_vi="Thẻ hết hạn ngày {observed}, trước ngày vào {expected}.",
    message_en="The card ended on {observed}, before the day of arrival {expected}.",
    basis=f"Luật BHYT Điều 16; {APPRAISAL}",
    decisions=DECISIONS,
)
def card_expired(case: Case) -> pd.DataFrame:
    """The day of NGAY_VAO lies after the end of every card, by the register; without one, by the claim's GT_THE_DEN."""
    held = case.cards
    register = case.reference.get("cards")
    own = held["valid_to"].replace("", OPEN_END)
    if register is not None and {"MA_THE_BHYT", "GT_THE_DEN"} <= set(register.columns):
        ends = register["GT_THE_DEN"].fillna("").str.strip().replace("", OPEN_END)
        latest = ends.groupby(register["MA_THE_BHYT"].fillna("").str.strip()).max()
        listed = held["card"].map(latest)
        end = listed.where(listed.notna() | ~held["card"].str.startswith(_paper_groups()), own)
    else:
        end = own
    # a card that the register does not know has no end here: CARD-002 speaks of it
    last = end.astype("str").groupby(held["claim"]).max().reindex(case.visits.index)
    day_in = case.visits["day_in"]
    where = last.notna() & (day_in > last.fillna(OPEN_END))
    return claim_findings(
        "CARD-008", case.visits, where, field="GT_THE_DEN", observed=last.astype("str"), expected=day_in
    )
