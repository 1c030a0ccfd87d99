"""CARD, the card and its holder: group and digit, children's cards, several cards, one card for two people, death."""

from __future__ import annotations

import pandas as pd

from claim_rules import benefit, law, money
from claim_rules.catalogue import CARD, CROSS, ROUTE, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import DEATHS, HOLDERS, Case, claim_findings, line_findings
from claim_rules.episodes import person_keys, standing
from claim_rules.findings import ADJUST_AMOUNT, REJECT_CLAIM, REJECT_LINE, WARN, concat, findings
from claim_rules.reference import missing
from claim_rules.rules.card import APPRAISAL, registered
from claim_rules.rules.card_register import name_key

STATES = {"cards": ("MA_THE_BHYT", "TRANG_THAI", "TRANG_THAI_TU")}


@rule(
    "CARD-012",
    stage=CARD,
    level="claim",
    severity=WARN,
    title_vi="Mã đối tượng phù hợp ký tự mức hưởng của thẻ",
    title_en="The card's group goes with its benefit digit",
    message_vi="Mã thẻ {observed}: mã đối tượng không đi với ký tự mức hưởng.",
    message_en="Card {observed}: its group does not go with its benefit digit.",
    basis="Quyết định 1351/QĐ-BHXH, 1697/QĐ-BHXH; Nghị quyết 261/2025/QH15; "
    "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm b",
)
def group_and_digit(case: Case) -> pd.DataFrame:
    """The first two characters of a card are not among those of its third (law/card_groups.yaml), by NGAY_RA.

    Digit 4 takes every civil group but those that have a digit of their own; LH keeps 4 beside 2.
    """
    table = law.load("card_groups")
    held = case.cards
    group, digit = held["card"].str[:2], held["card"].str[2:3]
    day = held["claim"].map(case.visits["day_out"])
    fine = pd.Series(False, index=held.index)
    own: set[str] = set()
    for number, codes in table["digits"].items():
        fine |= (digit == number) & group.isin(codes)
        own |= set(codes)
    for more in table["added"]:
        since = str(more["from"]).replace("-", "")
        fine |= (digit == more["digit"]) & group.isin(more["codes"]) & (day >= since)
    fine |= (digit == table["open_digit"]) & ~group.isin(own)
    whole = held["card"].str.fullmatch("[A-Z]{2}[1-5].*")
    where = pd.Series(case.visits.index.isin(held.loc[whole & ~fine, "claim"]), index=case.visits.index)
    return claim_findings("CARD-012", case.visits, where, field="MA_THE_BHYT", observed=case.visits["MA_THE_BHYT"])


@rule(
    "CARD-013",
    stage=CARD,
    level="claim",
    severity=WARN,
    title_vi="Thẻ trẻ em dùng đến 72 tháng tuổi",
    title_en="A child's card holds to 72 months of age",
    message_vi="Thẻ trẻ em (TE) nhưng người bệnh đã quá 72 tháng tuổi khi vào viện.",
    message_en="A child's card (TE), yet the patient is past 72 months on arrival.",
    basis=f"Nghị định 188/2025/NĐ-CP; {APPRAISAL}",
)
def grown_child(case: Case) -> pd.DataFrame:
    """A TE card, and NGAY_VAO lies after the day on which the child turned 72 months.

    A card printed to 30 September of that year holds to that day. Of an unknown birthday the latest possible counts.
    """
    child = law.load("card_groups")["child"]
    held = case.cards
    held = held[held["card"].str.startswith(child["code"])]
    visits = case.visits
    if held.empty:
        return findings()
    birth = held["claim"].map(visits["NGAY_SINH"]).astype("str")
    birth = birth[birth.str.fullmatch("[0-9]{4,12}")]
    year, month, day = (
        pd.to_numeric(birth.str[start:stop].replace("", "0")).astype("int64")
        for start, stop in ((0, 4), (4, 6), (6, 8))
    )
    turned = year + child["months"] // 12
    last = turned * 10000 + month.where(month > 0, 12) * 100 + day.where(day > 0, 31)
    last = last.reindex(held.index)
    printed = turned.astype("str").reindex(held.index) + child["school_day"]
    came = held["claim"].map(visits["day_in"]).astype("str")
    came_number = pd.to_numeric(came.where(came.str.fullmatch("[0-9]{8}")), errors="coerce")
    late = (came_number > last) & ~((held["valid_to"] == printed) & (came <= printed))
    where = pd.Series(visits.index.isin(held.loc[late, "claim"]), index=visits.index)
    return claim_findings("CARD-013", visits, where, field="NGAY_SINH", observed=visits["NGAY_SINH"])


@rule(
    "CARD-015",
    stage=ROUTE,
    level="claim",
    severity=ADJUST_AMOUNT,
    title_vi="Nhiều thẻ: mức hưởng theo thẻ cao nhất còn hiệu lực từng ngày",
    title_en="Several cards: the rate is that of the best card in force on each day",
    message_vi="Có nhiều thẻ: {observed} dòng không theo thẻ có mức hưởng cao nhất còn hiệu lực vào ngày y lệnh.",
    message_en="Several cards: {observed} lines are not at the rate of the best card in force on their day.",
    basis="Nghị định 188/2025/NĐ-CP Điều 21 khoản 1-2; Thông tư 48/2017/TT-BYT Điều 4 khoản 3 điểm b",
)
def several_cards(case: Case) -> pd.DataFrame:
    """Cards of different rates; a line has the rate of a card that does not hold on its day (too high: BEN-001 cuts
    the line), or less than the best of the several that hold (nothing is cut, and never more paid than claimed).
    A card holds as cards.csv says, where that knows it, else as claimed."""
    held = case.cards
    rates = held.groupby("claim")["rate"]
    mixed = rates.nunique().pipe(lambda count: count.index[count > 1])
    if mixed.empty:
        return findings()
    lines = case.lines.loc[case.lines["claim"].isin(mixed), ["claim", "day", "MUC_HUONG"]]
    expected = case.expected.rate.loc[lines.index]
    sent = case.present.loc[lines.index, "MUC_HUONG"] & expected.notna()
    periods = benefit.several_cards(held[held["claim"].isin(mixed)], case.reference.get("cards"))
    pairs = lines[["claim", "day"]].reset_index().merge(periods, on="claim")
    holds = (pairs["valid_from"] <= pairs["day"]) & ((pairs["valid_to"] == "") | (pairs["day"] <= pairs["valid_to"]))
    pairs = pairs[holds & (pairs["day"] < pairs["blocked_from"])]
    valid = pairs.groupby("index")["rate"]
    best = valid.max().reindex(lines.index)
    alone = (valid.nunique() < 2).reindex(lines.index, fill_value=True)
    highest = lines["claim"].map(rates.max())
    too_high = (best < highest).fillna(False) & (lines["MUC_HUONG"] > expected.fillna(0))
    too_low = ~alone.astype("bool") & (lines["MUC_HUONG"] < expected.fillna(0)) & (lines["MUC_HUONG"] > 0)
    wrong = sent & (too_high.astype("bool") | too_low)
    count = wrong.groupby(lines["claim"]).sum().reindex(case.visits.index, fill_value=0)
    first = expected[wrong].groupby(lines["claim"]).first().reindex(case.visits.index)
    return claim_findings(
        "CARD-015",
        case.visits,
        count > 0,
        field="MUC_HUONG",
        observed=count.astype("str"),
        expected=lambda hit: money.rate_texts(first.loc[hit]),
    )


def _numbers(cards: pd.Series) -> pd.DataFrame:
    """The insurance numbers in `;` lists of cards: frame (id, number), id = index of the series."""
    keys = person_keys(pd.DataFrame({"MA_THE_BHYT": cards, "SO_CCCD": ""}, index=cards.index, dtype="str"))
    return keys.rename(columns={"key": "number"})


_HOLDER = ("MA_CSKCB", "MA_LK", "number", "citizen", "name", "day")


def _holders(case: Case) -> pd.DataFrame:
    """Who came with which insurance number: _HOLDER, claim (NA for earlier ones) and stands (whether others are held
    against it); citizen and name "" if unknown."""
    visits = case.visits
    numbers = _numbers(visits["MA_THE_BHYT"])
    own = visits.loc[numbers["id"], ["MA_CSKCB", "MA_LK"]].reset_index(names="claim")
    own["number"] = numbers["number"].to_numpy()
    citizen = visits["SO_CCCD"].where(visits["SO_CCCD"].str.fullmatch("[0-9]{12}"), "")
    citizen = citizen.where(~citizen.str.fullmatch(r"([0-9])\1*"), "")
    own["citizen"] = own["claim"].map(citizen).astype("str")
    own["name"] = own["claim"].map(name_key(visits["HO_TEN"])).astype("str")
    own["day"] = own["claim"].map(visits["day_in"]).astype("str")
    own["stands"] = own["claim"].map(standing(visits, case.history)).astype("bool")
    own["claim"] = own["claim"].astype("Int64")
    earlier = case.history.get(HOLDERS)
    if earlier is None or earlier.empty:
        return own
    other = pd.DataFrame({name: earlier[name].fillna("").astype("str") for name in _HOLDER if name != "name"})
    other["name"] = name_key(earlier["name"].fillna(""))
    other["claim"] = pd.Series(pd.NA, index=other.index, dtype="Int64")
    other["stands"] = True
    return pd.concat([own, other], ignore_index=True)


@rule(
    "CARD-017",
    stage=CROSS,
    level="cross-claim",
    severity=WARN,
    decisions=DECISIONS,
    wants_facts=(HOLDERS,),
    title_vi="Một thẻ chỉ một người dùng",
    title_en="One card is used by one person",
    message_vi="Thông tin người dùng thẻ không thống nhất trong 12 tháng.",
    message_en="Who uses the card differs within 12 months.",
    basis=f"Nghị định 188/2025/NĐ-CP Điều 12 khoản 4; {APPRAISAL}",
)
def shared_card(case: Case) -> pd.DataFrame:
    """The same insurance number (last ten digits of the card) with two SO_CCCD, or with two names where one of the two
    claims has no SO_CCCD; or one SO_CCCD with two insurance numbers. NGAY_VAO at most 12 months apart.

    Compared with the other claims of the delivery and Case.history "holders" (standing claims of the same numbers or
    citizen ids: MA_CSKCB, MA_LK, number, citizen, name, day of NGAY_VAO as yyyymmdd, text). Children and claims with
    two cards of one person: a name that is the same never differs; both cards of one claim are one person's.
    """
    holders = _holders(case)
    if not (holders["number"].duplicated() | (holders["citizen"].duplicated() & (holders["citizen"] != ""))).any():
        return findings()
    own = holders[holders["claim"].notna()]
    holders = holders[holders["stands"]]
    told: list[pd.DataFrame] = []
    for key, vi, en in (
        ("number", "thẻ được dùng bởi hai người khác nhau", "the card was used by two different people"),
        ("citizen", "một số CCCD đi với hai mã số BHXH", "one citizen id goes with two insurance numbers"),
    ):
        left, right = own[own[key] != ""], holders[holders[key] != ""]
        again = right[key].isin(set(left[key]))
        pairs = left.merge(right[again], on=key, suffixes=("", "_other"))
        apart = (pairs["MA_CSKCB"] != pairs["MA_CSKCB_other"]) | (pairs["MA_LK"] != pairs["MA_LK_other"])
        pairs = pairs[apart & _within(pairs["day"], pairs["day_other"])]
        if key == "number":
            both = (pairs["citizen"] != "") & (pairs["citizen_other"] != "")
            other = (pairs["citizen"] != pairs["citizen_other"]).where(
                both, (pairs["name"] != pairs["name_other"]) & (pairs["name"] != "") & (pairs["name_other"] != "")
            )
        else:
            mine = _together(holders, "number")
            other = pairs["number"] != pairs["number_other"]
            other &= ~pd.MultiIndex.from_frame(pairs[["number", "number_other"]]).isin(mine)
        found = pairs.loc[other.astype("bool"), ["claim"]].drop_duplicates()
        told.append(found.assign(vi=vi, en=en, field="MA_THE_BHYT" if key == "number" else "SO_CCCD"))
    rows = pd.concat(told).drop_duplicates("claim").sort_values("claim").reset_index(drop=True)
    if rows.empty:
        return findings()
    return findings(
        pd.DataFrame(
            {
                "claim": rows["claim"],
                "rule": "CARD-017",
                "table": "XML1",
                "field": rows["field"],
                "detail_vi": rows["vi"],
                "detail_en": rows["en"],
            }
        )
    )


def _within(day: pd.Series, other: pd.Series) -> pd.Series:
    months = pd.DateOffset(months=int(law.load("card_status")["person_months"]))
    first = pd.to_datetime(day.where(day <= other, other), format="%Y%m%d", errors="coerce")
    last = pd.to_datetime(other.where(day <= other, day), format="%Y%m%d", errors="coerce")
    return last <= first + months


def _together(holders: pd.DataFrame, name: str) -> pd.MultiIndex:
    """Pairs of numbers that stand in one and the same claim: two cards of one person."""
    both = holders.merge(holders, on=["MA_CSKCB", "MA_LK"], suffixes=("", "_other"))
    return pd.MultiIndex.from_frame(both[[name, f"{name}_other"]])


@rule(
    "CARD-018",
    stage=CARD,
    level="cross-claim",
    severity=REJECT_CLAIM,
    decisions=DECISIONS,
    wants=STATES,
    wants_facts=(DEATHS,),
    title_vi="Không có chi phí sau khi người bệnh tử vong",
    title_en="Nothing is claimed after the patient's death",
    message_vi="Người bệnh đã tử vong ngày {expected}; {field} = {observed}.",
    message_en="The patient died on {expected}; {field} = {observed}.",
    basis=f"Luật BHYT Điều 20; {APPRAISAL}",
)
def after_death(case: Case) -> pd.DataFrame:
    """NGAY_VAO after the death: the claim is refused; else NGAY_YL after it: the line.

    A death is known from cards.csv (TRANG_THAI deceased since TRANG_THAI_TU, a day), from another claim of the delivery
    that ended with it (KET_QUA_DTRI 5: NGAY_RA) and from Case.history "deaths" (MA_CSKCB, MA_LK, number: ten digits of
    the card, died: yyyymmddHHMM or yyyymmdd). Of several the first counts; where only a day is known the day itself
    is still covered. The claim that ended with the death is judged by its own times, not here.
    """
    visits = case.visits
    numbers = _numbers(visits["MA_THE_BHYT"])
    keys = numbers.assign(MA_CSKCB=numbers["id"].map(visits["MA_CSKCB"]), MA_LK=numbers["id"].map(visits["MA_LK"]))
    dead = keys[keys["id"].map(visits["KET_QUA_DTRI"]).isin(law.load("card_status")["died"])]
    dead = dead[dead["id"].map(standing(visits, case.history)).astype("bool")]
    dead = dead.assign(died=dead["id"].map(visits["NGAY_RA"]))[["MA_CSKCB", "MA_LK", "number", "died"]]
    earlier = case.history.get(DEATHS)
    if earlier is not None and not earlier.empty:
        dead = pd.concat([dead, earlier[list(dead.columns)]], ignore_index=True)
    pairs = keys.merge(dead, on="number", suffixes=("", "_other"))
    pairs = pairs[(pairs["MA_CSKCB"] != pairs["MA_CSKCB_other"]) | (pairs["MA_LK"] != pairs["MA_LK_other"])]
    known = [pairs[["id", "died"]], _register_deaths(case)]
    died = pd.concat(known, ignore_index=True)
    died = died[died["died"].str.fullmatch("[0-9]{8}(?:[0-9]{4})?")]
    if died.empty:
        return findings()
    first = died.assign(until=died["died"].str.ljust(12, "9")).groupby("id")["until"].min()
    until = first.reindex(visits.index)
    arrival = visits["NGAY_VAO"]
    whole = until.notna() & (arrival > until.fillna("9")) & arrival.str.fullmatch("[0-9]{12}")
    day = until.str[:8].fillna("").astype("str")
    lines = case.lines
    stop = lines["claim"].map(until.where(~whole))
    after = stop.notna() & (lines["NGAY_YL"] > stop.fillna("9")) & lines["NGAY_YL"].str.fullmatch("[0-9]{12}")
    after &= lines["T_BHTT"] > 0
    return concat(
        [
            claim_findings("CARD-018", visits, whole, field="NGAY_VAO", observed=arrival, expected=day),
            line_findings(
                "CARD-018",
                lines,
                after,
                severity=REJECT_LINE,
                field="NGAY_YL",
                observed=lines["NGAY_YL"],
                expected=lines["claim"].map(day).fillna("").astype("str"),
            ),
        ]
    )


def _register_deaths(case: Case) -> pd.DataFrame:
    if missing(case.reference, STATES):
        return pd.DataFrame({"id": pd.Series([], dtype="int64"), "died": pd.Series([], dtype="str")})
    rows = registered(case, "TRANG_THAI", "TRANG_THAI_TU")
    rows = rows[rows["TRANG_THAI"].str.lower().isin(law.load("card_status")["dead"])]
    return rows.rename(columns={"claim": "id", "TRANG_THAI_TU": "died"})[["id", "died"]]
