"""DUP: is the same thing claimed twice?"""

from __future__ import annotations

import pandas as pd

from claim_rules.catalogue import CROSS, rule
from claim_rules.dictionary import DECISIONS
from claim_rules.engine import Case, claim_findings
from claim_rules.findings import REJECT_CLAIM


@rule(
    "DUP-001",
    stage=CROSS,
    level="cross-claim",
    severity=REJECT_CLAIM,
    title_vi="Hồ sơ không trùng trong cùng lô gửi",
    title_en="A claim stands only once in a delivery",
    message_vi="MA_LK {observed} đã có ở hồ sơ trước trong cùng tệp; chỉ hồ sơ đầu tiên được xét.",
    message_en="MA_LK {observed} already stands earlier in this file; only the first is appraised for payment.",
    basis="Quyết định 130/QĐ-BYT (khóa MA_LK); Thông tư 12/2026/TT-BTC Điều 10 khoản 1 điểm h",
    decisions=DECISIONS,
)
def repeated_claim(case: Case) -> pd.DataFrame:
    """A second HOSO with the same MA_CSKCB and MA_LK; a later delivery with other content is a new version instead."""
    key = case.visits[["MA_CSKCB", "MA_LK"]]
    where = (key["MA_LK"] != "") & key.duplicated()
    return claim_findings("DUP-001", case.visits, where, field="MA_LK", observed=key["MA_LK"])
