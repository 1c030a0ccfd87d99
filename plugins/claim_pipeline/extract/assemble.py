"""What every reader of a record system's data does alike: whose the claims are, which lines belong to none."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.columns import LAYOUTS
from claim_rules import dictionary
from claim_rules.findings import REJECT_CLAIM, WARN, findings
from claim_rules.frames import CLAIM_COLUMNS


def claims_of(
    encounters: pd.DataFrame, *, inbox_facility: str | None, place_vi: str, place_en: str, format: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The claims frame (CLAIM_COLUMNS) of the rows of XML1, one per claim, and the findings about their facility.

    The facility is the inbox's, else the one that most rows name; a row that names another one is STR-015. The layout
    is the one in force on NGAY_RA. place_*: where MA_CSKCB stands in the delivery, for people. Raises Quarantined
    where no facility is known.
    """
    ma_lk = encounters["MA_LK"].str.strip()
    facilities = encounters["MA_CSKCB"].fillna("").str.strip()
    facility = inbox_facility
    if not facility:
        counts = facilities[facilities != ""].value_counts()
        if counts.empty:
            raise Quarantined(
                "STR-001",
                f"Không biết cơ sở: {place_vi} thiếu hoặc trống",
                f"the facility is unknown: {place_en} is missing or blank",
                "Điền MA_CSKCB rồi gửi lại",
                "fill in MA_CSKCB and send it again",
                format=format,
                read_claims=len(encounters),
            )
        facility = str(min(counts.index[counts == counts.iloc[0]]))
    day = encounters["NGAY_RA"].fillna("").str.strip().str[:8]
    real = day.str.fullmatch("[0-9]{8}")
    claims = pd.DataFrame(
        {
            "claim": encounters["claim"],
            "MA_LK": ma_lk.where(ma_lk != ""),
            "MA_CSKCB": facility,
            "decision": np.select(
                [~real | (day >= "20250101"), day >= "20240701"], [LAYOUTS[0], LAYOUTS[1]], LAYOUTS[2]
            ),
            "readable": True,
        }
    ).astype(CLAIM_COLUMNS)
    other = (facilities != "") & (facilities != facility)
    return claims, findings(
        pd.DataFrame(
            {
                "claim": encounters.loc[other, "claim"],
                "rule": "STR-015",
                "severity": REJECT_CLAIM,
                "table": "XML1",
                "field": "MA_CSKCB",
                "observed": facilities[other],
                "expected": facility,
                "detail_vi": f"MA_CSKCB của hồ sơ khác cơ sở của tệp ({facility})",
                "detail_en": f"MA_CSKCB of the claim is not the facility of the file ({facility})",
            }
        )
    )


def orphans(table: str, count: int, vi: str, en: str) -> pd.DataFrame:
    """STR-005, a warning of the delivery: so many rows for a table belong to none of its claims."""
    return findings(
        [
            {
                "rule": "STR-005",
                "severity": WARN,
                "table": table,
                "field": "MA_LK",
                "observed": str(count),
                "expected": "0",
                "detail_vi": vi,
                "detail_en": en,
            }
        ]
    )


def structure(claims: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """STR-004: a claim without any line, or with two records of a table that has but one. Such claims are marked in
    `claims` as not readable."""
    found: list[pd.DataFrame] = []

    def refuse(which: pd.Series, table: str | None, vi: str, en: str) -> None:
        claims.loc[claims["claim"].isin(which), "readable"] = False
        rows = pd.DataFrame(
            {"claim": which, "rule": "STR-004", "severity": REJECT_CLAIM, "detail_vi": vi, "detail_en": en}
        )
        found.append(findings(rows.assign(table=table) if table else rows))

    with_lines = pd.concat(
        [tables[name]["claim"] for name in ("XML2", "XML3") if name in tables] or [claims["claim"][:0]]
    )
    without = claims.loc[~claims["claim"].isin(with_lines), "claim"]
    refuse(without, None, "Không có dòng XML2 hay XML3 nào", "there is no line of XML2 or XML3")
    for name, rows in tables.items():
        if dictionary.table(name).row_element is None:
            refuse(
                rows.loc[rows["row"] == 2, "claim"],
                name,
                f"{name} có nhiều hơn một bản ghi cho một hồ sơ",
                f"{name} has more than one record for a claim",
            )
    return found
