"""CAT: is what was given approved for this facility on that day?"""

from __future__ import annotations

import pandas as pd

from claim_rules.catalogue import CATALOGUE, rule
from claim_rules.engine import Case, line_findings
from claim_rules.findings import REJECT_LINE
from claim_rules.reference import rows_on

BASIS = "Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm c"
SERVICE_SUFFIX = r"_(?:GT|TB|TT)$"


def drug_rows(case: Case) -> pd.DataFrame:
    """Rows of drugs.csv valid at the facility on the day of each drug line that asks for money (see rows_on)."""
    return case.keep("drug rows", lambda: _drug_rows(case))


def _drug_rows(case: Case) -> pd.DataFrame:
    lines = case.lines
    mine = lines[(lines["table"] == "XML2") & (lines["T_BHTT"] > 0) & (lines["MA_THUOC"] != "")]
    wanted = mine[["MA_THUOC", "day"]].assign(facility=mine["claim"].map(case.visits["MA_CSKCB"]))
    return rows_on(wanted, case.reference["drugs"], {"MA_THUOC": "MA_THUOC", "facility": "MA_CSKCB"})


def service_lines(case: Case) -> pd.DataFrame:
    """Lines judged by services.csv: services that ask for money, without transport and work done elsewhere."""
    return case.keep("service lines", lambda: _service_lines(case))


def _service_lines(case: Case) -> pd.DataFrame:
    lines = case.lines
    code = lines["MA_DICH_VU"]
    return lines[
        (lines["table"] == "XML3")
        & (lines["T_BHTT"] > 0)
        & (lines["MA_VAT_TU"] == "")
        & (code != "")
        & ~code.str.startswith("VC.")
        & ~code.str.contains(".K.", regex=False)
    ]


def service_rows(case: Case) -> pd.DataFrame:
    """Rows of services.csv valid for each service line: of its exact code, else of the code without suffix."""
    return case.keep("service rows", lambda: _service_rows(case))


def _service_rows(case: Case) -> pd.DataFrame:
    mine = service_lines(case)
    wanted = pd.DataFrame({"MA_DICH_VU": mine["MA_DICH_VU"], "day": mine["day"]})
    wanted["facility"] = mine["claim"].map(case.visits["MA_CSKCB"])
    keys = {"MA_DICH_VU": "MA_TUONG_DUONG", "facility": "MA_CSKCB"}
    entries = case.reference["services"]
    exact = rows_on(wanted, entries, keys)
    rest = wanted[~wanted.index.isin(exact["index"])]
    rest = rest.assign(MA_DICH_VU=rest["MA_DICH_VU"].str.replace(SERVICE_SUFFIX, "", regex=True))
    return pd.concat([exact, rows_on(rest, entries, keys)], ignore_index=True)


@rule(
    "CAT-001",
    stage=CATALOGUE,
    level="line",
    severity=REJECT_LINE,
    title_vi="Thuốc có trong danh mục được duyệt của cơ sở",
    title_en="The drug is in the facility's approved list",
    message_vi="Thuốc {observed} không có trong danh mục thuốc của cơ sở vào ngày y lệnh {expected}.",
    message_en="Drug {observed} is not in the facility's list on the day of the order {expected}.",
    basis=BASIS,
    needs={"drugs": ("MA_THUOC", "MA_CSKCB", "TU_NGAY", "DEN_NGAY")},
)
def drug_not_listed(case: Case) -> pd.DataFrame:
    """No row of drugs.csv for MA_THUOC at MA_CSKCB valid on NGAY_YL."""
    lines = case.lines
    asked = (lines["table"] == "XML2") & (lines["T_BHTT"] > 0) & (lines["MA_THUOC"] != "")
    where = asked & ~lines.index.isin(drug_rows(case)["index"])
    return line_findings("CAT-001", lines, where, field="MA_THUOC", observed=lines["MA_THUOC"], expected=lines["day"])


@rule(
    "CAT-012",
    stage=CATALOGUE,
    level="line",
    severity=REJECT_LINE,
    title_vi="Dịch vụ có trong danh mục kỹ thuật được duyệt của cơ sở",
    title_en="The service is in the facility's approved list",
    message_vi="Dịch vụ {observed} không có trong danh mục của cơ sở vào ngày y lệnh {expected}.",
    message_en="Service {observed} is not in the facility's list on the day of the order {expected}.",
    basis=BASIS,
    needs={"services": ("MA_TUONG_DUONG", "MA_CSKCB", "TU_NGAY", "DEN_NGAY")},
)
def service_not_listed(case: Case) -> pd.DataFrame:
    """No row of services.csv for MA_DICH_VU at MA_CSKCB valid on NGAY_YL."""
    lines = case.lines
    asked = lines.index.isin(service_lines(case).index)
    where = pd.Series(asked & ~lines.index.isin(service_rows(case)["index"]), index=lines.index)
    return line_findings(
        "CAT-012", lines, where, field="MA_DICH_VU", observed=lines["MA_DICH_VU"], expected=lines["day"]
    )
