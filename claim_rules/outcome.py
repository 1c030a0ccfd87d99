"""Folds findings into outcomes: one allowed amount per line, computed once with all corrections together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from claim_rules import benefit, money
from claim_rules.engine import Appraisal, as_json
from claim_rules.findings import ADJUST_AMOUNT, REJECT_CLAIM, REJECT_LINE
from claim_rules.frames import ClaimTables
from claim_rules.lines import LINE_TABLES, ClaimLines

ACCEPTED, ADJUSTED, REJECTED, REFERRED = "accepted", "adjusted", "rejected", "referred"
OUTCOMES = (ACCEPTED, ADJUSTED, REJECTED, REFERRED)

PRICED = ("SO_LUONG", "DON_GIA_BH", "TYLE_TT_DV", "TYLE_TT_BH")
"""Line values from which THANH_TIEN_BH is computed; a corrected one makes it be computed anew."""

CORRECTABLE = (*PRICED, "THANH_TIEN_BV", "THANH_TIEN_BH", "MUC_HUONG", "T_BHTT")
"""What a finding may correct (`correct_field`). With T_BHTT only the split is computed anew."""

CLAIM_CAP_RULE = "SUM-015"
"""Where this rule fired the claim is paid at most XML1.T_BHTT (contracts, report, money)."""


@dataclass
class Outcome:
    """lines: claim, table, row, line, requested, approved, refused. claims: claim, MA_LK, outcome, paperless,
    paperless_reasons, referral_reasons (JSON lists as text), requested, approved, refused. findings: those given,
    with amount_refused (what each would cut alone). Amounts int64, 1/100 đồng."""

    lines: pd.DataFrame
    claims: pd.DataFrame
    findings: pd.DataFrame


def allowed_amounts(claims: ClaimLines, corrections: pd.DataFrame) -> pd.Series:
    """What the fund pays for each corrected line (int64, index = the line's index), never more than claimed.

    corrections: columns line_index, correct_field (one of CORRECTABLE), correct_value (unit of the field, NA for a
    split computed anew). Of several corrections of one value the lowest counts.
    """
    lowest = corrections.groupby(["line_index", "correct_field"])["correct_value"].min().unstack("correct_field")
    lowest.index = lowest.index.astype("int64")
    lines = claims.lines.loc[lowest.index].copy()
    claimed = lines["THANH_TIEN_BH"].copy()
    for name in (*PRICED, "MUC_HUONG"):
        if name in lowest:
            lines[name] = np.minimum(lines[name], lowest[name].fillna(lines[name]).astype("int64"))
    in_scope = claimed
    repriced = lowest.reindex(columns=list(PRICED)).notna().any(axis=1)
    if repriced.any():
        anew = benefit.in_scope_amount(lines)
        in_scope = in_scope.where(~repriced | (claimed < anew), anew)
    if "THANH_TIEN_BH" in lowest:
        right = lowest["THANH_TIEN_BH"].fillna(in_scope).astype("int64")
        in_scope = in_scope.where(in_scope < right, right)
    whole = lines["THANH_TIEN_BV"]
    if "THANH_TIEN_BV" in lowest:
        whole = lowest["THANH_TIEN_BV"].fillna(whole).astype("int64")
    share = benefit.split(whole, in_scope.astype("int64"), lines["MUC_HUONG"], lines["T_NGUONKHAC"])["T_BHTT"]
    share = share.clip(lower=0)
    return share.where(share < lines["T_BHTT"], lines["T_BHTT"]).astype("int64")


def fold(
    tables: ClaimTables, appraisal: Appraisal, completed: pd.DataFrame, *, signature_reasons: Sequence[str]
) -> Outcome:
    """Outcome of every claim read, also of unreadable ones.

    completed: findings after catalogue.complete (severity known). signature_reasons: why no claim of the
    delivery is paperless, as far as its signature is concerned (claim_rules.signature); empty: it stands for them.
    """
    claims = appraisal.claims
    lines = claims.lines
    found = completed.reset_index(drop=True).copy()
    place = pd.Series(lines.index, index=pd.MultiIndex.from_frame(lines[["claim", "table", "row"]]))
    of_line = found["claim"].notna() & found["row"].notna() & found["table"].isin(LINE_TABLES)
    key = pd.MultiIndex.from_arrays(
        [
            found.loc[of_line, "claim"].astype("int64"),
            found.loc[of_line, "table"],
            found.loc[of_line, "row"].astype("int64"),
        ]
    )
    found["line_index"] = pd.Series(pd.NA, index=found.index, dtype="Int64")
    found.loc[of_line, "line_index"] = pd.array(place.reindex(key).to_numpy(), dtype="Int64")

    requested = lines["T_BHTT"].clip(lower=0)
    allowed = requested.copy()
    adjusts = found[(found["severity"] == ADJUST_AMOUNT) & found["line_index"].notna() & found["correct_field"].notna()]
    if len(adjusts):
        together = allowed_amounts(claims, adjusts)
        allowed.loc[together.index] = np.maximum(together, 0)
    refused_lines = found.loc[(found["severity"] == REJECT_LINE) & found["line_index"].notna(), "line_index"]
    allowed.loc[refused_lines.astype("int64").unique()] = 0
    refused_claims = set(found.loc[found["severity"] == REJECT_CLAIM, "claim"].dropna().astype("int64"))
    unreadable = set(tables.claims.loc[~tables.claims["readable"], "claim"])
    refused_claims |= unreadable
    allowed = allowed.mask(lines["claim"].isin(refused_claims), 0).astype("int64")

    per_line = lines[["claim", "table", "row", "line"]].assign(
        requested=requested, approved=allowed, refused=requested - allowed
    )
    per_claim = _claims(tables, claims, appraisal, per_line, found, refused_claims, list(signature_reasons))
    found["amount_refused"] = _cuts(claims, found, per_line, per_claim)
    return Outcome(per_line.reset_index(drop=True), per_claim, found.drop(columns="line_index"))


def _asked_by_header(tables: ClaimTables) -> pd.Series:
    """XML1.T_BHTT of every claim whose XML1 was read, also of one that cannot be appraised (int64, by claim)."""
    if "XML1" not in tables:
        return pd.Series([], index=pd.Index([], dtype="int64"), dtype="int64")
    first = tables["XML1"].drop_duplicates("claim").set_index("claim")["T_BHTT"]
    return money.parse(first, money.AMOUNT_DECIMALS).fillna(0).clip(lower=0).astype("int64")


def _claims(
    tables: ClaimTables,
    claims: ClaimLines,
    appraisal: Appraisal,
    per_line: pd.DataFrame,
    found: pd.DataFrame,
    refused_claims: set[int],
    signature_reasons: list[str],
) -> pd.DataFrame:
    out = tables.claims[["claim", "MA_LK"]].reset_index(drop=True).copy()
    position = out["claim"]
    sums = per_line.groupby("claim")[["requested", "approved"]].sum()
    header = _asked_by_header(tables)
    has_lines = position.isin(sums.index)
    requested = position.map(sums["requested"]).where(has_lines, position.map(header)).fillna(0).astype("int64")
    approved = position.map(sums["approved"]).fillna(0).astype("int64")
    capped = found.loc[(found["rule"] == CLAIM_CAP_RULE) & (found["severity"] == ADJUST_AMOUNT), "claim"]
    cap = position.map(header).fillna(0).astype("int64")
    over = position.isin(capped.dropna().astype("int64")) & (approved > cap)
    approved = approved.where(~over, cap)
    approved = approved.mask(position.isin(refused_claims), 0)
    out["requested"], out["approved"], out["refused"] = requested, approved, requested - approved

    reasons = appraisal.referrals.drop_duplicates().groupby("claim")["reason"].agg(list)
    referral = position.map(reasons)
    rejected = position.isin(refused_claims)
    referred = referral.notna() & ~rejected
    outcome = np.select([rejected, referred, out["refused"] > 0], [REJECTED, REFERRED, ADJUSTED], ACCEPTED)
    out.insert(2, "outcome", pd.Series(outcome, index=out.index, dtype="str"))
    blocked = rejected | referred
    out["paperless"] = ~blocked & (not signature_reasons)
    out["paperless_reasons"] = pd.Series(
        np.where(blocked, as_json([*signature_reasons, "not-accepted"]), as_json(signature_reasons)),
        index=out.index,
        dtype="str",
    )
    out["referral_reasons"] = pd.Series(
        [as_json(sorted(value)) if asked else "[]" for value, asked in zip(referral, referred, strict=True)],
        index=out.index,
        dtype="str",
    )
    return out


def _cuts(claims: ClaimLines, found: pd.DataFrame, per_line: pd.DataFrame, per_claim: pd.DataFrame) -> pd.Series:
    cut = pd.Series(0, index=found.index, dtype="int64")
    requested = per_claim.set_index("claim")["requested"]
    whole = (found["severity"] == REJECT_CLAIM) & found["claim"].notna()
    cut[whole] = found.loc[whole, "claim"].astype("int64").map(requested).fillna(0).astype("int64")
    one = (found["severity"] == REJECT_LINE) & found["line_index"].notna()
    cut[one] = per_line.loc[found.loc[one, "line_index"].astype("int64"), "requested"].to_numpy()
    part = (found["severity"] == ADJUST_AMOUNT) & found["line_index"].notna() & found["correct_field"].notna()
    for _, group in found[part].groupby("rule"):
        alone = allowed_amounts(claims, group)
        index = group["line_index"].astype("int64")
        cut[group.index] = per_line.loc[index, "requested"].to_numpy() - alone.loc[index].to_numpy()
    capped = (found["rule"] == CLAIM_CAP_RULE) & (found["severity"] == ADJUST_AMOUNT)
    if capped.any():
        position = found.loc[capped, "claim"].astype("int64")
        header = claims.visits["T_BHTT#"].fillna(0).clip(lower=0)
        cut[capped] = (position.map(requested) - position.map(header)).clip(lower=0).astype("int64")
    return cut
