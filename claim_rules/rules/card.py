"""CARD, form and validity: is there a card, and was it in force on the days of the visit?"""

from __future__ import annotations

import pandas as pd

from claim_rules import law
from claim_rules.catalogue import CARD, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings, line_findings
from claim_rules.findings import REJECT_CLAIM, REJECT_LINE, concat, findings
from claim_rules.reference import OPEN_END

APPRAISAL = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm a"
EXPIRY = "Nghị định 188/2025/NĐ-CP Điều 50 khoản 4"
STARTS = "Nghị định 188/2025/NĐ-CP Điều 21 khoản 2"
CARD_PATTERN = r"[A-Z]{2}[1-5]\d{2}\d{10}"


def paper_groups() -> tuple[str, ...]:
    """Object codes whose cards the register may not know: their printed validity counts."""
    return tuple(law.load("card_rates")["paper_validity_groups"]["codes"])


def registered(case: Case, *columns: str) -> pd.DataFrame:
    """Rows of cards.csv of each card held: claim, position, card and the columns asked, stripped.

    A card that the register does not know has no row, one with several periods has several.
    """
    return case.keep("registered", lambda: _registered(case))[["claim", "position", "card", *columns]]


def _registered(case: Case) -> pd.DataFrame:
    held = case.cards[["claim", "position", "card"]]
    register = case.reference["cards"]
    register = register.reset_index(drop=True)  # of several loads put together labels may repeat
    number = register["MA_THE_BHYT"].fillna("").str.strip()
    mine = register[number.isin(held["card"])]
    rows = pd.DataFrame({name: mine[name].fillna("").str.strip() for name in mine.columns if name != "MA_THE_BHYT"})
    return held.merge(rows.assign(card=number.loc[mine.index]), on="card", how="inner")


def periods(case: Case) -> pd.DataFrame:
    """When the cards of each claim hold: claim, position, card, start, end (yyyymmdd, inclusive, OPEN_END if open).

    By the register; where it is not given, and for cards of army, police and cipher staff that it does not know, as
    the claim states. Any other card that the register does not know has no period.
    """
    return case.keep("card periods", lambda: _periods(case))


def _periods(case: Case) -> pd.DataFrame:
    held = case.cards
    own = held[["claim", "position", "card"]].assign(
        start=held["valid_from"], end=held["valid_to"].replace("", OPEN_END)
    )
    register = case.reference.get("cards")
    if register is None or not {"MA_THE_BHYT", "GT_THE_DEN"} <= set(register.columns):
        return own
    has_start = "GT_THE_TU" in register.columns
    listed = registered(case, *(("GT_THE_TU", "GT_THE_DEN") if has_start else ("GT_THE_DEN",)))
    if not has_start:
        listed = listed.merge(own[["claim", "position", "start"]], on=["claim", "position"])
    listed = listed.rename(columns={"GT_THE_TU": "start", "GT_THE_DEN": "end"})
    listed["end"] = listed["end"].replace("", OPEN_END)
    on_paper = own[own["card"].str.startswith(paper_groups()) & ~own["card"].isin(listed["card"])]
    return pd.concat([listed[own.columns], on_paper], ignore_index=True)


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
    fine = held["card"].isin(registered(case)["card"]) | held["card"].str.startswith(paper_groups())
    where = pd.Series(case.visits.index.isin(held["claim"]), index=case.visits.index)
    where &= ~case.visits.index.isin(held.loc[fine, "claim"])
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
    """The day of NGAY_VAO lies after the end of every card, by the register; without one, by the claim's GT_THE_DEN.

    A card that the register does not know has no end here: CARD-002 speaks of it.
    """
    held = periods(case)
    last = held.groupby("claim")["end"].max().reindex(case.visits.index)
    day_in = case.visits["day_in"]
    where = last.notna() & (day_in > last.fillna(OPEN_END))
    return claim_findings(
        "CARD-008", case.visits, where, field="GT_THE_DEN", observed=last.astype("str"), expected=day_in
    )


def _asking(case: Case, claims: pd.Index) -> pd.DataFrame:
    """Lines of some claims that the fund is asked to pay and that have a readable day."""
    lines = case.lines
    return lines[lines["claim"].isin(claims) & (lines["T_BHTT"] > 0) & lines["day"].str.fullmatch("[0-9]{8}")]


@rule(
    "CARD-009",
    stage=CARD,
    level="line",
    severity=REJECT_LINE,
    since="20250701",
    title_vi="Thẻ hết hạn trong đợt điều trị: chỉ thanh toán trong 15 ngày sau đó",
    title_en="A card that ends during a stay pays for 15 days more",
    message_vi="Y lệnh ngày {observed}, quá 15 ngày sau ngày hết hạn thẻ; hạn cuối được thanh toán là {expected}.",
    message_en="Ordered on {observed}, more than 15 days after the card ended; the last day covered was {expected}.",
    basis=f"{EXPIRY}; {APPRAISAL}",
)
def after_the_card(case: Case) -> pd.DataFrame:
    """A stay or course of treatment (MA_LOAI_KCB 02–06, 08, 09) whose card held on NGAY_VAO and ended: lines ordered
    later than 15 days after that on which no other card holds. Dates by the register, else as claimed."""
    kinds = case.visits["MA_LOAI_KCB"].isin(law.load("kinds_of_care")["ending_card"])
    if not kinds.any():
        return findings()
    held = periods(case)
    day_in = held["claim"].map(case.visits["day_in"])
    entered = held.loc[(held["start"] <= day_in) & (day_in <= held["end"]), "claim"]
    lines = _asking(case, case.visits.index[kinds & case.visits.index.isin(entered)])
    ended = held.loc[held["claim"].isin(lines["claim"]) & (held["end"] != OPEN_END), ["claim", "start", "end"]]
    end = pd.to_datetime(ended["end"], format="%Y%m%d", errors="coerce")
    grace = end + pd.Timedelta(days=int(law.load("card_grace")["days"]["value"]))
    ended = ended.assign(last=grace.dt.strftime("%Y%m%d").fillna(OPEN_END).astype("str"))
    open_ended = held.loc[held["end"] == OPEN_END, ["claim", "start", "end"]].assign(last=OPEN_END)
    cover = pd.concat([ended, open_ended])
    pairs = lines[["claim", "day"]].reset_index().merge(cover, on="claim")
    pairs = pairs[pairs["start"] <= pairs["day"]]
    last = pairs.groupby("index")["last"].max()
    last = last.reindex(case.lines.index)
    where = last.notna() & (case.lines["day"] > last.fillna(OPEN_END))
    return line_findings(
        "CARD-009", case.lines, where, field="NGAY_YL", observed=case.lines["day"], expected=last.astype("str")
    )


@rule(
    "CARD-010",
    stage=CARD,
    level="line",
    severity=REJECT_LINE,
    decisions=DECISIONS,
    title_vi="Y lệnh không trước ngày thẻ có giá trị",
    title_en="Nothing is ordered before the card begins",
    message_vi="Y lệnh ngày {observed}, trước ngày thẻ bắt đầu có giá trị {expected}.",
    message_en="Ordered on {observed}, before the card began on {expected}.",
    basis=f"{STARTS}; {APPRAISAL}",
)
def before_the_card(case: Case) -> pd.DataFrame:
    """The day of NGAY_YL lies before the first day of every card that had not ended on NGAY_VAO.

    Dates by the register, else as claimed; a card that begins after the visit covers none of it.
    """
    held = periods(case)
    held = held[held["end"] >= held["claim"].map(case.visits["day_in"])]
    first = held.groupby("claim")["start"].min()
    lines = _asking(case, first.index)
    start = lines["claim"].map(first).reindex(case.lines.index).astype("str").fillna("")
    return line_findings(
        "CARD-010", case.lines, case.lines["day"] < start, field="NGAY_YL", observed=case.lines["day"], expected=start
    )


@rule(
    "CARD-011",
    stage=CARD,
    level="claim",
    severity=REJECT_CLAIM,
    decisions=DECISIONS,
    needs={"cards": ("MA_THE_BHYT", "GT_THE_TU", "GT_THE_DEN", "TRANG_THAI", "TRANG_THAI_TU")},
    title_vi="Thẻ không bị thu hồi, báo giảm, tạm khóa",
    title_en="The card is not revoked, reduced or suspended",
    message_vi="Thẻ không còn giá trị sử dụng từ ngày {expected}.",
    message_en="The card does not hold since {expected}.",
    basis=f"Luật BHYT Điều 16, Điều 20; {APPRAISAL}",
)
def card_blocked(case: Case) -> pd.DataFrame:
    """TRANG_THAI revoked, reduced or suspended since NGAY_VAO or earlier on every card that holds then: the claim is
    refused; since a later day of the visit: the lines ordered from that day on, if no other card holds.

    A state without TRANG_THAI_TU holds since the card began. Cards whose dates do not cover the day are other rules'.
    """
    rows = registered(case, "GT_THE_TU", "GT_THE_DEN", "TRANG_THAI", "TRANG_THAI_TU")
    visits = case.visits
    day_in, day_out = rows["claim"].map(visits["day_in"]), rows["claim"].map(visits["day_out"])
    end = rows["GT_THE_DEN"].replace("", OPEN_END)
    rows = rows[(rows["GT_THE_TU"] <= day_out) & (end >= day_in)]
    blocked = rows["TRANG_THAI"].str.lower().isin(law.load("card_status")["blocked"])
    since = rows["TRANG_THAI_TU"].where(rows["TRANG_THAI_TU"] != "", rows["GT_THE_TU"]).where(blocked, OPEN_END)
    # a claim is covered until its last good card is blocked
    latest = since.groupby(rows["claim"]).max().reindex(visits.index, fill_value=OPEN_END)
    state = rows.loc[blocked].groupby("claim")["TRANG_THAI"].first().reindex(visits.index, fill_value="")
    whole = latest <= visits["day_in"]
    later = visits.index[~whole & (latest <= visits["day_out"])]
    lines = _asking(case, later)
    stop = lines["claim"].map(latest).reindex(case.lines.index)
    after = stop.notna() & (case.lines["day"] >= stop.fillna(OPEN_END))
    of_line = case.lines["claim"].map(state).fillna("").astype("str")
    return concat(
        [
            claim_findings(
                "CARD-011", visits, whole, field="MA_THE_BHYT", observed="", expected=latest,
                detail_vi="Trạng thái: " + state, detail_en="state: " + state,
            ),
            line_findings(
                "CARD-011", case.lines, after, severity=REJECT_LINE, field="NGAY_YL", observed=case.lines["day"],
                expected=stop.astype("str"), detail_vi="Trạng thái: " + of_line, detail_en="state: " + of_line,
            ),
        ]
    )  # fmt: skip
