"""DUP, beside other claims of the same person: is a visit, a stay or a device claimed twice, or split in two?

The other claims are those of the delivery and those of the store. Where the store is not known (giamdinh check) the
rules are skipped: half an answer would look like a whole one."""

from __future__ import annotations

from typing import Any

import pandas as pd

from claim_rules import law
from claim_rules.benefit.rates import thresholds
from claim_rules.catalogue import CROSS, declare, rule
from claim_rules.engine import HISTORY, NEWBORNS, Case, claim_findings, line_findings
from claim_rules.episodes import Episodes, line_codes, orders, person_keys, recalls, standing
from claim_rules.findings import REJECT_CLAIM, REJECT_LINE, WARN, findings
from claim_rules.frames import texts

BASIS = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm h"
_FACTS: dict[str, Any] = {"stage": CROSS, "level": "cross-claim", "facts": (HISTORY,)}


def _told(rule_id: str, case: Case, hit: pd.Series, *, field: str, place: str = "MA_CSKCB") -> pd.DataFrame:
    """One finding for each left claim of the pairs hit, naming the first of the other claims by facility or MA_LK."""
    pairs = case.episodes.pairs[hit.to_numpy(dtype="bool", na_value=False)]
    others = pairs.assign(other=pairs["right"].map(case.episodes.visits[place]))
    other = others.sort_values(["left", "other"]).drop_duplicates("left").set_index("left")["other"]
    where = pd.Series(case.visits.index.isin(other.index), index=case.visits.index)
    named = other.reindex(case.visits.index).fillna("")
    what = {"MA_CSKCB": ("cơ sở", "facility"), "MA_LK": ("hồ sơ", "claim")}[place]
    return claim_findings(
        rule_id,
        case.visits,
        where,
        field=field,
        observed=case.visits[field],
        detail_vi=lambda rows: f"{what[0]} kia: " + named.loc[rows],
        detail_en=lambda rows: f"the other {what[1]}: " + named.loc[rows],
    )


def _same_facility(episodes: Episodes) -> pd.Series:
    return episodes.of("left", "MA_CSKCB") == episodes.of("right", "MA_CSKCB")


@rule(
    "DUP-002",
    severity=REJECT_CLAIM,
    title_vi="Một lượt điều trị không gửi hai lần với MA_LK khác nhau",
    title_en="One episode is not sent twice under different MA_LK",
    message_vi="Cùng người bệnh, cùng cơ sở, cùng giờ vào, giờ ra hoặc cùng các dòng chi phí với một hồ sơ khác.",
    message_en="Patient, facility and times of arrival and discharge, or the lines, are those of another claim.",
    basis=BASIS,
    **_FACTS,
)
def same_content(case: Case) -> pd.DataFrame:
    """Another claim of the facility for the same person with the same NGAY_VAO and NGAY_RA, or with at least 90 % of
    the lines (code and minute of NGAY_YL); the one received later is refused."""
    episodes = case.episodes
    near = episodes.after & _same_facility(episodes)
    same = near & (episodes.of("left", "start") == episodes.of("right", "start"))
    same &= episodes.of("left", "end") == episodes.of("right", "end")
    return _told("DUP-002", case, same | _mostly_same_lines(episodes, near & ~same), field="MA_LK", place="MA_LK")


def _mostly_same_lines(episodes: Episodes, near: pd.Series) -> pd.Series:
    pairs = episodes.pairs[near.to_numpy(dtype="bool", na_value=False)].reset_index(names="pair")
    if pairs.empty:
        return pd.Series(False, index=near.index)
    lines = episodes.lines[(episodes.lines["code"] != "") & (episodes.lines["NGAY_YL"] != "")]
    lines = lines.groupby(["id", "code", "NGAY_YL"], as_index=False).size()
    mine = pairs.merge(lines, left_on="left", right_on="id")
    both = mine.merge(
        lines, how="left", left_on=["right", "code", "NGAY_YL"], right_on=["id", "code", "NGAY_YL"], suffixes=("", "_r")
    )
    common = both[["size", "size_r"]].min(axis=1).where(both["size_r"].notna(), 0)
    share = common.groupby(both["pair"]).sum() * 100 >= law.load("repeats")["identical_lines_percent"] * (
        both["size"].groupby(both["pair"]).sum()
    )
    mostly: pd.Series = share.reindex(near.index, fill_value=False)
    return mostly


@rule(
    "DUP-003",
    severity=REJECT_CLAIM,
    title_vi="Hai đợt nội trú của một người không chồng lên nhau",
    title_en="Two inpatient stays of one person do not overlap",
    message_vi="Thời gian nội trú chồng lên một đợt nội trú khác của cùng người bệnh quá một giờ.",
    message_en="The stay overlaps another inpatient stay of the same patient by more than an hour.",
    basis=BASIS,
    **_FACTS,
)
def overlapping_stays(case: Case) -> pd.DataFrame:
    """Stays from NGAY_VAO_NOI_TRU (else NGAY_VAO) to NGAY_RA, at any facility. The law lets both be held until one is
    proved; here the one received later is refused, and its facility can answer with the evidence."""
    episodes = case.episodes
    begins = pd.concat([episodes.of("left", "stay"), episodes.of("right", "stay")], axis=1).max(axis=1, skipna=False)
    ends = pd.concat([episodes.of("left", "end"), episodes.of("right", "end")], axis=1).min(axis=1, skipna=False)
    hit = episodes.after & _inpatient(episodes, "left") & _inpatient(episodes, "right")
    return _told("DUP-003", case, hit & (ends - begins > law.load("repeats")["transfer_minutes"]), field="NGAY_VAO")


def _inpatient(episodes: Episodes, side: str) -> pd.Series:
    return episodes.of(side, "inpatient").astype("bool")


def _outpatient(episodes: Episodes, side: str) -> pd.Series:
    return episodes.of(side, "MA_LOAI_KCB").isin(law.load("repeats")["outpatient"])


def _day(episodes: Episodes, side: str, column: str) -> pd.Series:
    return episodes.of(side, column) // (24 * 60)


@rule(
    "DUP-004",
    severity=REJECT_CLAIM,
    title_vi="Không khám ngoại trú trong lúc đang nằm nội trú",
    title_en="No outpatient visit in the middle of an inpatient stay",
    message_vi="Lượt khám ngoại trú nằm trong thời gian người bệnh đang điều trị nội trú.",
    message_en="The outpatient visit lies inside an inpatient stay of the same patient.",
    basis=BASIS,
    **_FACTS,
)
def outpatient_inside_stay(case: Case) -> pd.DataFrame:
    """NGAY_VAO on a day after admission and before the day of discharge. Not for drugs that another person collects
    (7.2), nor for a claim of tests alone, for which the ward sends a patient to another place."""
    episodes = case.episodes
    known = law.load("repeats")
    hit = _outpatient(episodes, "left") & _inpatient(episodes, "right")
    hit &= ~episodes.of("left", "MA_DOITUONG_KCB").isin(known["collected_for_another"])
    hit &= (_day(episodes, "left", "start") > _day(episodes, "right", "stay")) & (
        _day(episodes, "left", "start") < _day(episodes, "right", "end")
    )
    other = ~case.lines["MA_NHOM"].isin(known["test_groups"])
    with_care = set(case.lines.loc[other, "claim"])
    return _told("DUP-004", case, hit & episodes.pairs["left"].isin(with_care), field="NGAY_VAO")


@rule(
    "DUP-005",
    severity=WARN,
    title_vi="Nhiều lượt khám ngoại trú trong ngày ở các cơ sở khác nhau",
    title_en="Several outpatient visits on one day at different facilities",
    message_vi="Người bệnh đã khám ngoại trú ở cơ sở khác trong cùng ngày; đề nghị xem thuốc có trùng không.",
    message_en="The patient had an outpatient visit elsewhere on the same day; see whether the drugs overlap.",
    basis=BASIS,
    **_FACTS,
)
def several_visits(case: Case) -> pd.DataFrame:
    """Said of the visit received later. No source gives a number of visits a week or month beyond which to warn."""
    episodes = case.episodes
    hit = episodes.after & _outpatient(episodes, "left") & _outpatient(episodes, "right") & ~_same_facility(episodes)
    return _told("DUP-005", case, hit & _same_day(episodes), field="NGAY_VAO")


def _same_day(episodes: Episodes) -> pd.Series:
    return _day(episodes, "left", "start") == _day(episodes, "right", "start")


@rule(
    "DUP-010",
    severity=WARN,
    title_vi="Không tách lượt khám để từng phần dưới 15 % lương cơ sở",
    title_en="A visit is not split so that each part stays under 15 % of the base salary",
    message_vi="Các lượt khám cùng ngày, cùng cơ sở cộng lại vượt ngưỡng 15 % lương cơ sở, từng lượt thì dưới ngưỡng.",
    message_en="Visits on one day at one facility together reach 15 % of the base salary, each alone stays under it.",
    basis="Luật BHYT Điều 22 khoản 1 điểm d; Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm b",
    **_FACTS,
)
def split_visit(case: Case) -> pd.DataFrame:
    """Said of every claim of the day whose sum of THANH_TIEN_BH is under the threshold of its NGAY_VAO while the sums
    of the person's claims of that day and facility, each under it, together reach it.

    The other claims are those of the delivery and of the store. One of the store whose sum is not kept (recorded by an
    older version) does not count. Sum and day are those of the 15 % test (claim_rules.options).
    """
    episodes = case.episodes
    expected = case.expected
    base = "full_price" if case.options["small_visit_base"] == "full-price" else "in_scope"
    day = "NGAY_RA" if case.options["small_visit_day"] == "NGAY_RA" else "NGAY_VAO"
    others = episodes.visits[~episodes.visits["own"].astype("bool")]
    cost = pd.concat([expected.in_scope.astype("Int64"), others[base].astype("Int64")])
    limit = pd.concat([expected.threshold, thresholds(others[day].str[:8])])
    small = (cost < limit).fillna(False).astype("bool")
    near = _same_facility(episodes) & _same_day(episodes)
    both = near & _outpatient(episodes, "left") & _outpatient(episodes, "right")
    both &= episodes.pairs["left"].map(small).eq(True) & episodes.pairs["right"].map(small).eq(True)
    pairs = episodes.pairs[both.to_numpy(dtype="bool", na_value=False)]
    more = pairs["right"].map(cost).groupby(pairs["left"]).sum().reindex(case.visits.index, fill_value=0)
    reached = pairs["left"].map(expected.in_scope + more >= expected.threshold).astype("bool")
    hit = pd.Series(False, index=both.index)
    hit[pairs.index] = reached
    return _told("DUP-010", case, hit, field="NGAY_VAO", place="MA_LK")


@rule(
    "DUP-011",
    severity=WARN,
    title_vi="Không tách một đợt nội trú thành hai",
    title_en="One stay is not split in two",
    message_vi="Người bệnh nhập viện lại trong vòng 24 giờ sau khi ra viện, cùng cơ sở, cùng nhóm bệnh.",
    message_en="Admitted again within 24 hours of discharge, at the same facility, for the same group of diseases.",
    basis=BASIS,
    **_FACTS,
)
def split_stay(case: Case) -> pd.DataFrame:
    """Inpatient stays of one person at one facility, the later beginning less than 24 hours after the NGAY_RA of the
    earlier, with the same first three characters of MA_BENH_CHINH."""
    episodes = case.episodes
    gap = episodes.of("left", "start") - episodes.of("right", "end")
    hit = _same_facility(episodes) & _inpatient(episodes, "left") & _inpatient(episodes, "right")
    block = episodes.of("left", "MA_BENH_CHINH").str[:3]
    hit &= (block != "") & (block == episodes.of("right", "MA_BENH_CHINH").str[:3])
    return _told(
        "DUP-011", case, hit & (gap >= 0) & (gap < law.load("repeats")["readmission_minutes"]), field="NGAY_VAO",
        place="MA_LK",
    )  # fmt: skip


@rule(
    "DUP-013",
    severity=REJECT_LINE,
    title_vi="Một thiết bị cấy ghép chỉ thanh toán một lần",
    title_en="One implanted device is paid once",
    message_vi="Số sê-ri {observed} đã thanh toán ở một hồ sơ khác.",
    message_en="Serial number {observed} stands on another claim already.",
    basis="Quyết định 130/QĐ-BYT Bảng 3 (MA_HIEU_SP); Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm m",
    **_FACTS,
)
def device_again(case: Case) -> pd.DataFrame:
    """The same MA_VAT_TU and MA_HIEU_SP on a claim received earlier; a recall takes a device back. MA_HIEU_SP holds a
    product model or a serial number: only what looks like a serial number counts (repeats.yaml), so that a model used
    for many patients does not refuse a line; and a code that more than `no_device` visits bear (20; every version of a
    claim is one) is a model too and not judged. Needs no common person: Case.history "devices" holds claim (of this
    delivery), MA_VAT_TU and MA_HIEU_SP of devices that a claim received before it bears, "device_visits" of each code
    of this delivery how many visits of other deliveries bear it (one more than `no_device` stands for more)."""
    lines = case.lines[(case.lines["table"] == "XML3") & (case.lines["MA_VAT_TU"] != "")]
    lines = lines[lines["MA_HIEU_SP"].str.fullmatch(law.load("repeats")["serial"])]
    key = ["MA_VAT_TU", "MA_HIEU_SP"]
    borne = lines.groupby(key)["claim"].transform("nunique")
    elsewhere = case.history.get("device_visits")
    if elsewhere is not None and len(lines):
        visits = elsewhere.set_index(key)["visits"].astype("int64")
        borne = borne + visits.reindex(pd.MultiIndex.from_frame(lines[key]), fill_value=0).to_numpy()
    lines = lines[borne <= law.load("repeats")["no_device"]]
    recalled = recalls(case.visits)
    lines = lines[~lines["claim"].isin(case.visits.index[recalled])]
    name = lines["claim"].map(case.visits["MA_CSKCB"] + "\n" + case.visits["MA_LK"])
    order = lines["claim"].map(orders(case.visits, case.history))
    stands = lines["claim"].map(standing(case.visits, case.history)).astype("bool")
    first = order.where(stands).groupby([lines[one] for one in key]).transform("min")
    holder = name.where(stands & (order == first)).groupby([lines[one] for one in key]).transform("first")
    where = (order > first).fillna(False) & (name != holder)
    earlier = case.history.get("devices")
    if earlier is not None and len(lines):
        known = pd.MultiIndex.from_frame(earlier[["claim", *key]])
        where |= pd.Series(pd.MultiIndex.from_frame(lines[["claim", *key]]).isin(known), index=lines.index)
    found = where.reindex(case.lines.index, fill_value=False)
    return line_findings("DUP-013", case.lines, found, field="MA_HIEU_SP", observed=case.lines["MA_HIEU_SP"])


@rule(
    "DUP-012",
    stage=CROSS,
    level="cross-claim",
    severity=WARN,
    wants_facts=(NEWBORNS,),
    title_vi="Chi phí của trẻ sơ sinh không tính cả cho mẹ và con",
    title_en="A newborn's costs are not claimed for mother and child both",
    message_vi="Chi phí của trẻ đã tính trên hồ sơ của mẹ.",
    message_en="The newborn's costs stand on the mother's claim already.",
    basis=BASIS,
)
def newborn_twice(case: Case) -> pd.DataFrame:
    """A child's claim with paid lines that the mother's claim has too: same table, code and minute of NGAY_YL. Said of
    the child's claim, once.

    Which newborn belongs to which mother the claims themselves say: XML9 of the mother's (MA_THE_TAM is the child's
    temporary card) or XML7 of the child's (MA_ME, the mother's insurance number); both of one facility. Compared are
    the claims of the delivery, and those of Case.history "newborns" (claim, MA_LK, table, code, NGAY_YL: lines of the
    mother's earlier claim), which the store does not give yet.
    """
    visits = case.visits
    pairs = _mothers(case)
    earlier = case.history.get(NEWBORNS)
    if pairs.empty and (earlier is None or earlier.empty):
        return findings()
    lines = case.lines[(case.lines["T_BHTT"] > 0) & (case.lines["NGAY_YL"] != "")]
    lines = lines[["claim", "table", "NGAY_YL"]].assign(code=line_codes(lines))
    lines = lines[lines["code"] != ""].drop_duplicates()
    mothers = pairs.merge(lines.rename(columns={"claim": "mother"}), on="mother")
    mothers = mothers.assign(MA_LK=mothers["mother"].map(visits["MA_LK"])).rename(columns={"child": "claim"})
    key = ["claim", "table", "code", "NGAY_YL"]
    known = pd.concat([mothers[[*key, "MA_LK"]], *([earlier[[*key, "MA_LK"]]] if earlier is not None else [])])
    twice = lines.merge(known, on=key)
    count = twice.groupby("claim").size().reindex(visits.index, fill_value=0)
    mother = twice.groupby("claim")["MA_LK"].first().reindex(visits.index, fill_value="").astype("str")
    return claim_findings(
        "DUP-012",
        visits,
        count > 0,
        field="MA_LK",
        observed=visits["MA_LK"],
        detail_vi="hồ sơ của mẹ: " + mother + ", số dòng trùng: " + count.astype("str"),
        detail_en="the mother's claim: " + mother + ", lines in both: " + count.astype("str"),
    )


def _mothers(case: Case) -> pd.DataFrame:
    """Claims of a newborn and of its mother at one facility: child, mother (positions)."""
    births = texts(case.tables, "XML9", ("MA_THE_TAM",), case.visits.index)
    papers = texts(case.tables, "XML7", ("MA_ME",), case.visits.index)
    births, papers = births[births["MA_THE_TAM"] != ""], papers[papers["MA_ME"] != ""]
    if births.empty and papers.empty:
        return pd.DataFrame({"child": pd.Series([], dtype="int64"), "mother": pd.Series([], dtype="int64")})
    persons = person_keys(case.visits)
    by_birth = births.assign(key=births["MA_THE_TAM"].str[-10:]).merge(persons, on="key")
    by_paper = papers.assign(key=papers["MA_ME"].str[-10:]).merge(persons, on="key")
    pairs = pd.DataFrame(
        {
            "child": pd.concat([by_birth["id"], by_paper["claim"]], ignore_index=True),
            "mother": pd.concat([by_birth["claim"], by_paper["id"]], ignore_index=True),
        }
    )
    facility = case.visits["facility"]
    same = pairs["child"].map(facility) == pairs["mother"].map(facility)
    return pairs[same & (pairs["child"] != pairs["mother"])].drop_duplicates(ignore_index=True)


# the law speaks of sharing results from 2027 on; for how long which result stays valid is to be told by the Ministry of
# Health, whose list was not seen. A list of our own would be a guess that warns of good care
declare(
    "DUP-009",
    stage=CROSS,
    level="cross-claim",
    severity=WARN,
    title_vi="Xét nghiệm đã làm ở cơ sở khác còn giá trị",
    title_en="A test done elsewhere is still valid",
    message_vi="Cùng xét nghiệm, chẩn đoán hình ảnh đã làm ở cơ sở khác và còn thời hạn sử dụng kết quả.",
    message_en="The same test was done at another facility and its result is still valid.",
    basis="Luật 51/2024/QH15 Điều 3 khoản 4 (liên thông kết quả từ 01/01/2027)",
    since="20270101",
    awaits="days for which the result of a test stays valid (a list of the Ministry of Health, from 2027-01-01)",
)
