"""BEN: five years of insurance and six months of co-payment (NGAY_MIEN_CCT)."""

from __future__ import annotations

import pandas as pd

from claim_rules import benefit, money
from claim_rules.benefit import exemption
from claim_rules.benefit.rates import waived_lines
from claim_rules.catalogue import ROUTE, declare, rule
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import ADJUST_AMOUNT, Ruling, corrections
from claim_rules.reference import missing
from claim_rules.rules.arithmetic import claim_tolerance
from claim_rules.rules.card import registered
from claim_rules.rules.rate import APPRAISAL

BASIS = f"Luật BHYT Điều 22 khoản 1 điểm d; Nghị định 188/2025/NĐ-CP Điều 18 khoản 2; {APPRAISAL}"
FIELD = "NGAY_MIEN_CCT"
NEEDS = {
    "copayments": ("MA_THE_BHYT", "TU_NGAY", "DEN_NGAY", "T_BNCCT"),
    "cards": ("MA_THE_BHYT", "NAM_NAM_LIEN_TUC"),
}

declare(
    "BEN-007",
    stage=ROUTE,
    level="line",
    severity=ADJUST_AMOUNT,
    found_by="BEN-001",
    title_vi="Từ NGAY_MIEN_CCT đến hết năm hưởng 100 %, các dòng trước đó theo mức thường",
    title_en="Lines from NGAY_MIEN_CCT to the end of its year at 100 %, earlier ones at the usual rate",
    message_vi="",
    message_en="",
    basis=BASIS,
)
declare(
    "BEN-010",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    found_by="BEN-009",
    title_vi="Lương cơ sở đổi trong năm: số đã trả quy ra tháng lương cũ, phần còn lại theo lương mới",
    title_en="Where the base salary changes in a year, what was paid counts in months of the old one",
    message_vi="",
    message_en="",
    basis=f"Công văn 302/CSYT-CD mục 2.5; {BASIS}",
)


def _five_years(case: Case) -> pd.Series:
    """The day on which five continuous years were full (yyyymmdd, "" where nobody says), by visit: of cards.csv, else
    of XML1."""
    held = case.cards
    register = registered(case, "NAM_NAM_LIEN_TUC")
    listed = register[register["NAM_NAM_LIEN_TUC"] != ""].groupby("card")["NAM_NAM_LIEN_TUC"].min()
    known = held["card"].map(listed).groupby(held["claim"]).min().reindex(case.visits.index)
    return known.fillna(case.visits["NAM_NAM_LIEN_TUC"].str[:8]).fillna("")


def _ledger(case: Case) -> pd.DataFrame:
    """What copayments.csv says of the cards held (see exemption.ledger)."""

    def of_these_cards() -> pd.DataFrame:
        register = case.reference["copayments"]
        return exemption.ledger(register[register["MA_THE_BHYT"].fillna("").str.strip().isin(case.cards["card"])])

    return case.keep("ledger", of_these_cards)


def _counted(case: Case) -> pd.Series:
    """Co-payment of each line that counts towards the six months (int64)."""
    return case.lines["T_BNCCT"].clip(lower=0).where(_counts(case), 0)


def _counts(case: Case) -> pd.Series:
    """Lines whose co-payment counts towards the six months (bool): of right-route care, by the option."""
    lines = case.lines
    if case.options["off_route_copayment"] == "counted":
        return pd.Series(True, index=lines.index)
    factor = benefit.route_factors(case.visits)["factor"].fillna(0) == 100
    return lines["claim"].map(factor).astype("bool")


@rule(
    "BEN-008",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Miễn cùng chi trả phải đủ 5 năm liên tục và trên 6 tháng lương cơ sở trong năm",
    title_en="The exemption needs five years and more than six months of co-payment in the year",
    message_vi="NGAY_MIEN_CCT = {observed} không đủ điều kiện (5 năm liên tục, cùng chi trả trên 6 tháng lương cơ sở).",
    message_en="NGAY_MIEN_CCT = {observed} lacks its conditions (five years, co-payments over six months).",
    basis=BASIS,
    needs=NEEDS,
)
def waiver_without_ground(case: Case) -> Ruling:
    """NGAY_MIEN_CCT of another year than the visit, before five years were full, or with too little paid until then.

    Counted are the periods of copayments.csv that begin by that day and the co-payments of this visit before it. A card
    that the ledger does not know has paid nothing; a day of five years that nobody states is not held against it.
    """
    visits, lines = case.visits, case.lines
    since = visits[FIELD]
    stated = visits.index[since.str.fullmatch("[0-9]{8}([0-9]{4})?")]
    where = pd.Series(False, index=visits.index)
    if stated.empty:
        return Ruling(claim_findings("BEN-008", visits, where))
    day = since.loc[stated].str[:8]
    asked = pd.DataFrame({"card": visits.loc[stated, "MA_THE_BHYT"], "day": day, "until": day})
    room = exemption.room(_ledger(case), asked)
    start = case.claims.visit(FIELD)
    earlier = ((start.str.len() == 12) & (lines["NGAY_YL"] < start)) | (
        (start.str.len() == 8) & (lines["day"] <= start) & (lines["day"].str[:4] == start.str[:4])
    )
    now = _counted(case).where(earlier, 0).groupby(lines["claim"]).sum().reindex(stated, fill_value=0)
    too_little = (now * room["old"] <= room["left"]) & (room["old"] > 0)
    years = visits.loc[stated, ["day_in", "day_out"]]
    other_year = (day.str[:4] != years["day_in"].str[:4]) & (day.str[:4] != years["day_out"].str[:4])
    where.loc[stated] = too_little | other_year | (_five_years(case).loc[stated] > day)
    found = claim_findings("BEN-008", visits, where, field=FIELD, observed=since)
    route = benefit.route_factors(visits)
    rate = benefit.rates_at_factor(
        case.expected.unwaived,
        lines["claim"].map(route["factor"]).astype("Int64"),
        lines["claim"].map(route["full"]),
    )
    above = (lines["MUC_HUONG"] > rate).fillna(False).astype("bool")
    mine = lines["claim"].map(where).astype("bool") & waived_lines(case.claims) & above
    return Ruling(found, corrections("BEN-008", lines, mine, "MUC_HUONG", rate))


@rule(
    "BEN-009",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Đủ điều kiện miễn cùng chi trả nhưng vẫn thu cùng chi trả",
    title_en="Exempt from co-payment, yet charged",
    message_vi="Từ {expected} người bệnh đã đủ điều kiện miễn cùng chi trả nhưng vẫn bị thu; cần hoàn lại.",
    message_en="From {expected} on the patient was exempt from co-payment and was charged; it is due back.",
    basis=BASIS,
    needs=NEEDS,
)
def missed_exemption(case: Case) -> Ruling:
    """Five years are full, and the periods of the ledger that ended before the visit together with the lines before
    pass six months, yet later lines of the year carry a co-payment.

    The fund never pays more than claimed, so nothing changes in this claim; the patient is to be paid back. What
    variant B (the patient pays just what is left) would add for the line that crosses the limit is told as what_if.
    """
    visits, lines = case.visits, case.lines
    five = _five_years(case)
    co_payment = _counted(case)
    payers = set(lines.loc[co_payment > 0, "claim"])
    able = visits.index[(five != "") & (five <= visits["day_out"]) & visits.index.isin(payers)]
    mine = lines[lines["claim"].isin(able) & (lines["NGAY_YL"] != "")]
    where = pd.Series(False, index=visits.index)
    if mine.empty:
        return Ruling(claim_findings("BEN-009", visits, where))
    moments = _moments(case, mine, co_payment)
    moments["through"] = moments.groupby(["claim", "year"])["paid"].cumsum()
    moments["before"] = moments["through"] - moments["paid"]
    full = moments["claim"].map(five) <= moments["day"]
    passed = full & (moments["before"] * moments["old"] > moments["left"])
    late = moments[passed & (moments["paid"] > 0)]
    charged = late.groupby("claim")["paid"].sum()
    enough = charged > claim_tolerance(case).reindex(charged.index)
    where.loc[enough.index[enough]] = True
    since = late.groupby("claim")["at"].min().reindex(visits.index, fill_value="")
    found = claim_findings("BEN-009", visits, where, field=FIELD, observed=visits[FIELD], expected=since)
    if case.options["exemption_crossing"] == "B":
        return Ruling(found)
    crossing = moments[full & ~passed & (moments["through"] * moments["old"] > moments["left"])]
    more = [
        through - exemption.remaining(left, old)
        for through, left, old in crossing[["through", "left", "old"]].itertuples(index=False, name=None)
    ]
    share = _shared(mine, _at(crossing, more), co_payment.loc[mine.index])
    told = share[share > 0]
    return Ruling(
        found,
        what_if=pd.DataFrame(
            {
                "claim": lines.loc[told.index, "claim"],
                "option": "exemption_crossing",
                "choice": "B",
                "more": told,
                "line_index": told.index,
            }
        ),
    )


def _at(moments: pd.DataFrame, values: list[int]) -> pd.Series:
    """Values by claim and minute (int64)."""
    return pd.Series(values, index=pd.MultiIndex.from_frame(moments[["claim", "at"]]), dtype="int64")


def _shared(mine: pd.DataFrame, at: pd.Series, most: pd.Series) -> pd.Series:
    """What the lines `mine` get of an amount of their minute (int64): the first ones up to `most` of each."""
    minute = pd.MultiIndex.from_frame(mine[["claim", "NGAY_YL"]])
    whole = pd.Series(at.reindex(minute, fill_value=0).to_numpy(), index=mine.index)
    share = (whole - (most.groupby([mine["claim"], mine["NGAY_YL"]]).cumsum() - most)).clip(lower=0)
    return share.where(share < most, most)


def _moments(case: Case, mine: pd.DataFrame, co_payment: pd.Series) -> pd.DataFrame:
    """Co-payments of the lines `mine` by claim, year and minute: claim, year, at (NGAY_YL), day, paid (int64), and how
    far the patient was from six months on arrival (left, old: see exemption.room)."""
    visits = case.visits
    table = pd.DataFrame({"claim": mine["claim"], "at": mine["NGAY_YL"], "day": mine["day"]})
    table = table.assign(paid=co_payment.loc[mine.index], year=mine["day"].str[:4])
    by_year = table.groupby(["claim", "year"], as_index=False)["day"].max()
    card, day_in = (by_year["claim"].map(visits[name]) for name in ("MA_THE_BHYT", "day_in"))
    until = day_in.where(day_in.str[:4] == by_year["year"], by_year["year"] + exemption.YEAR_START)
    asked = pd.DataFrame({"card": card, "day": by_year["day"], "until": until, "closed": True})
    limits = by_year[["claim", "year"]].join(exemption.room(_ledger(case), asked))
    moments = table.groupby(["claim", "year", "at"], as_index=False).agg(day=("day", "first"), paid=("paid", "sum"))
    return moments.merge(limits, on=["claim", "year"])


def crossing_share(case: Case, above: pd.Series) -> pd.Series:
    """What the fund may pay above its rate by variant B of option exemption_crossing (int64 of lines, 1/100 đồng).

    above: by how much each line asks more than its rate gives (int64, below 0 where less). In the minute in which the
    year's co-payments pass six months the patient pays just what is left; the lines of that minute get the rest as far
    as they ask for it, the first one first. 0 by variant A, and where ledger or register are not given.
    """
    lines, visits = case.lines, case.visits
    none = pd.Series(0, index=lines.index)
    if case.options["exemption_crossing"] != "B" or missing(case.reference, NEEDS):
        return none
    five = _five_years(case)
    claims = visits.index[(five != "") & (five <= visits["day_out"])]
    mine = lines[lines["claim"].isin(set(lines.loc[above > 0, "claim"]) & set(claims)) & (lines["NGAY_YL"] != "")]
    if mine.empty:
        return none
    due = mine["THANH_TIEN_BH"] - money.product(mine["THANH_TIEN_BH"], mine["MUC_HUONG"], divisor=benefit.FULL)
    charged = _counted(case).loc[mine.index]
    of_fund = (mine["T_BHTT"] > 0) & _counts(case).loc[mine.index]
    by_law = due.where(of_fund | (charged > 0), 0).clip(lower=0)
    moments = _moments(case, mine, charged)
    law = mine.assign(by_law=by_law).groupby(["claim", "NGAY_YL"])["by_law"].sum()
    moments["by_law"] = law.reindex(pd.MultiIndex.from_frame(moments[["claim", "at"]])).to_numpy()
    moments["before"] = moments.groupby(["claim", "year"])["paid"].cumsum() - moments["paid"]
    full = moments["claim"].map(five) <= moments["day"]
    crosses = full & (moments["before"] * moments["old"] <= moments["left"])
    crosses &= (moments["before"] + moments["by_law"]) * moments["old"] > moments["left"]
    extra = [
        by_law + before - exemption.remaining(left, old)
        for by_law, before, left, old in moments.loc[crosses, ["by_law", "before", "left", "old"]].itertuples(
            index=False, name=None
        )
    ]
    asked = above.loc[mine.index].clip(lower=0)
    share = _shared(mine, _at(moments[crosses], extra), asked.where(asked < by_law, by_law))
    return share.reindex(lines.index, fill_value=0).astype("int64")
