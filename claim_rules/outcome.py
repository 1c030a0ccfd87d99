"""Folds findings into outcomes: one allowed amount per line, computed once with all corrections together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from claim_rules import benefit, catalogue, dictionary, money, options
from claim_rules.engine import Appraisal, as_json
from claim_rules.findings import ADJUST_AMOUNT, CLAIM, LINE_CAP, MORE, REJECT_CLAIM, REJECT_LINE
from claim_rules.frames import ClaimTables, claims_with
from claim_rules.lines import LINE_TABLES, ClaimLines

ACCEPTED, ADJUSTED, REJECTED, REFERRED = "accepted", "adjusted", "rejected", "referred"
OUTCOMES = (ACCEPTED, ADJUSTED, REJECTED, REFERRED)

PRICED = ("SO_LUONG", "DON_GIA_BH", "TYLE_TT_DV", "TYLE_TT_BH")
"""Line values from which THANH_TIEN_BH is computed; a corrected one makes it be computed anew."""

CORRECTABLE = (*PRICED, "THANH_TIEN_BV", "THANH_TIEN_BH", "MUC_HUONG", "T_NGUONKHAC", "T_BHTT", LINE_CAP, MORE)
"""What a finding may correct (`correct_field`). With T_BHTT only the split is computed anew."""


@dataclass
class Outcome:
    """lines: claim, table, row, line, requested, approved, refused. claims: claim, MA_LK, outcome, paperless,
    paperless_reasons, referral_reasons (JSON lists as text), requested, approved, refused. findings: those given,
    with amount_refused (what each would cut alone). what_if: claim, option, choice, approved, due_back: what by another
    choice of claim_rules.options is approved and given back to the patient. Amounts int64, 1/100 đồng."""

    lines: pd.DataFrame
    claims: pd.DataFrame
    findings: pd.DataFrame
    what_if: pd.DataFrame


def allowed_amounts(
    claims: ClaimLines,
    corrections: pd.DataFrame,
    rate: pd.Series | None = None,
    chosen: options.Options | None = None,
) -> pd.DataFrame:
    """What is allowed of each corrected line: in_scope (THANH_TIEN_BH) and fund, never more than claimed (int64 1/100
    đồng, index = the line's index).

    corrections: columns line_index, correct_field (one of CORRECTABLE), correct_value (unit of the field, NA for a
    split computed anew). Of several corrections of one value the lowest counts. rate: MUC_HUONG of the lines instead
    of the claimed or corrected one. chosen: claim_rules.options. What came off a line's total before its rate as
    support to the facility does so again.
    """
    lowest = corrections.groupby(["line_index", "correct_field"])["correct_value"].min().unstack("correct_field")
    lowest.index = lowest.index.astype("int64")
    lines = claims.lines.loc[lowest.index].copy()
    claimed = lines["THANH_TIEN_BH"].copy()
    supported = benefit.supported(lines, chosen)
    for name in (*PRICED, "MUC_HUONG"):
        if name in lowest:
            lines[name] = np.minimum(lines[name], lowest[name].fillna(lines[name]).astype("int64"))
    if rate is not None:
        lines["MUC_HUONG"] = rate.loc[lines.index]
    other = lines["T_NGUONKHAC"]
    if "T_NGUONKHAC" in lowest:
        other = lowest["T_NGUONKHAC"].fillna(other).astype("int64")
        lines["T_NGUONKHAC"] = other
    in_scope = claimed
    repriced = lowest.reindex(columns=list(PRICED)).notna().any(axis=1)
    if repriced.any():
        anew = benefit.in_scope_amount(lines)
        if supported.any():
            anew = anew.mask(supported, benefit.supported_amount(lines).clip(lower=0))
        in_scope = in_scope.where(~repriced | (claimed < anew), anew)
    if "THANH_TIEN_BH" in lowest:
        right = lowest["THANH_TIEN_BH"].fillna(in_scope).astype("int64")
        in_scope = in_scope.where(in_scope < right, right)
    whole = lines["THANH_TIEN_BV"]
    if "THANH_TIEN_BV" in lowest:
        whole = lowest["THANH_TIEN_BV"].fillna(whole).astype("int64")
    share = benefit.split(whole, in_scope.astype("int64"), lines["MUC_HUONG"], other)["T_BHTT"].clip(lower=0)
    if MORE in lowest:
        share += lowest[MORE].fillna(0).astype("int64")
    if LINE_CAP in lowest:
        most = lowest[LINE_CAP].fillna(share).astype("int64")
        share = share.where(share < most, most)
    fund = share.where(share < lines["T_BHTT"], lines["T_BHTT"])
    return pd.DataFrame({"in_scope": in_scope.astype("int64"), "fund": fund.astype("int64")})


def _retested(
    claims: ClaimLines, allowed: pd.Series, adjusts: pd.DataFrame, refused: pd.Index, chosen: options.Options
) -> pd.Series:
    """Fund's shares of the corrected lines of claims whose in-scope cost falls below the limit of the 15 % test by what
    is refused of it (int64 by line index; empty where no claim does)."""
    none = pd.Series([], index=pd.Index([], dtype="int64"), dtype="int64")
    if adjusts.empty:
        return none
    lines = claims.lines
    visits = claims.visits.loc[lines.loc[adjusts["line_index"].astype("int64").unique(), "claim"].unique()]
    part = claims.only(visits.index)
    in_scope = part.lines["THANH_TIEN_BH"].copy()
    in_scope.update(allowed_amounts(claims, adjusts, chosen=chosen)["in_scope"])
    in_scope[in_scope.index.isin(refused)] = 0
    expected = benefit.expected_rates(part, chosen)
    left = in_scope.groupby(part.lines["claim"]).sum()
    falls = ~expected.small & (left < expected.threshold)
    if not falls.any():
        return none
    route = benefit.route_factors(visits[falls.reindex(visits.index)])
    mine = adjusts[adjusts["line_index"].map(lines["claim"]).isin(route.index)]
    owner = lines.loc[mine["line_index"].astype("int64").unique(), "claim"]
    full = pd.Series(benefit.FULL, index=owner.index, dtype="Int64")
    rate = benefit.rates_at_factor(full, owner.map(route["factor"]).astype("Int64"), owner.map(route["full"]))
    if rate.isna().any():
        mine = mine[~mine["line_index"].isin(rate.index[rate.isna()])]
    if mine.empty:
        return none
    again = allowed_amounts(claims, mine, rate.dropna().astype("int64"), chosen)["fund"]
    again = again[~again.index.isin(refused)]
    before = allowed.loc[again.index]
    return again.where(again > before, before).astype("int64")


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
    refused_lines = found.loc[(found["severity"] == REJECT_LINE) & found["line_index"].notna(), "line_index"]
    refused_index = pd.Index(refused_lines.astype("int64").unique())
    alone = _corrections(claims, appraisal.corrections, found)
    adjusts = _with_shared_limits(claims, appraisal, found, alone, refused_index)
    if len(adjusts):
        together = allowed_amounts(claims, adjusts, chosen=appraisal.contract.options)["fund"]
        allowed.loc[together.index] = np.maximum(together, 0)
    allowed.loc[refused_index] = 0
    again = _retested(claims, allowed, adjusts, refused_index, appraisal.contract.options)
    what_if = _what_if(claims, appraisal, allowed, again, refused_index)
    if options.resolve(appraisal.contract.options)["retest_after_refusal"] == "yes":
        allowed.loc[again.index] = again
    refused_claims = set(found.loc[found["severity"] == REJECT_CLAIM, "claim"].dropna().astype("int64"))
    unreadable = set(tables.claims.loc[~tables.claims["readable"], "claim"])
    refused_claims |= unreadable
    allowed = allowed.mask(lines["claim"].isin(refused_claims), 0).astype("int64")

    per_line = lines[["claim", "table", "row", "line"]].assign(
        requested=requested, approved=allowed, refused=requested - allowed
    )
    per_claim = _claims(tables, claims, appraisal, per_line, found, refused_claims, list(signature_reasons))
    found["amount_refused"] = _cuts(claims, found, alone, per_line, per_claim, appraisal.contract.options)
    what_if = _approved_instead(what_if[~what_if["claim"].isin(refused_claims)], per_claim, found)
    return Outcome(per_line.reset_index(drop=True), per_claim, found.drop(columns="line_index"), what_if)


def _corrections(claims: ClaimLines, more: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Everything that adjust_amount findings correct in lines: their own line, and what those of a claim correct in
    its lines (more: CORRECTION_COLUMNS). Columns rule, claim, line_index, correct_field, correct_value."""
    names = ["rule", "claim", "line_index", "correct_field", "correct_value"]
    adjusts = found[found["severity"] == ADJUST_AMOUNT]
    own = adjusts.loc[adjusts["line_index"].notna() & adjusts["correct_field"].notna(), names]
    if more.empty:
        return own
    more = more.assign(claim=more["line_index"].map(claims.lines["claim"]).astype("Int64"))
    told = adjusts.loc[adjusts["claim"].notna(), ["rule", "claim"]].drop_duplicates()
    more = more.merge(told, on=["rule", "claim"])
    return pd.concat([own, more[names].astype({"line_index": "Int64"})], ignore_index=True)


def _with_shared_limits(
    claims: ClaimLines, appraisal: Appraisal, found: pd.DataFrame, alone: pd.DataFrame, refused: pd.Index
) -> pd.DataFrame:
    """The corrections, those of limits that lines share made from what all others leave (findings.Anew)."""
    lines = claims.lines
    if not alone["rule"].isin(list(appraisal.anew)).any():
        return alone
    standing = pd.DataFrame({"in_scope": lines["THANH_TIEN_BH"], "fund": lines["T_BHTT"].clip(lower=0)})
    others = alone[~alone["rule"].isin(list(appraisal.anew))]
    if len(others):
        left = allowed_amounts(claims, others, chosen=appraisal.contract.options)
        standing.loc[left.index, ["in_scope", "fund"]] = left
    standing["refused"] = lines.index.isin(refused)
    standing[["in_scope", "fund"]] = standing[["in_scope", "fund"]].mask(standing["refused"], 0).clip(lower=0)
    told = set(alone["rule"])
    made = [anew(standing) for rule, anew in appraisal.anew.items() if rule in told]
    kept = appraisal.corrections[~appraisal.corrections["rule"].isin(list(appraisal.anew))]
    return _corrections(claims, pd.concat([kept, *made], ignore_index=True), found)


def _what_if(
    claims: ClaimLines, appraisal: Appraisal, allowed: pd.Series, again: pd.Series, refused: pd.Index
) -> pd.DataFrame:
    """What another choice of an option would add to what is approved of a claim (claim, option, choice, more)."""
    gain = (again - allowed.loc[again.index]).groupby(claims.lines.loc[again.index, "claim"]).sum()
    chosen = options.resolve(appraisal.contract.options)["retest_after_refusal"]
    gain = gain[gain > 0] if chosen == "no" else gain[:0]
    retest = pd.DataFrame(
        {"claim": gain.index, "option": "retest_after_refusal", "choice": "yes", "more": gain.to_numpy()}
    )
    told = appraisal.what_if[~appraisal.what_if["line_index"].isin(refused)]
    by_rules = told.groupby(["claim", "option", "choice"], sort=False, as_index=False)[["more"]].sum()
    frames = [frame for frame in (retest, by_rules) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else retest


def _approved_instead(what_if: pd.DataFrame, per_claim: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """claim, option, choice, approved (by that choice, never more than requested nor than a finding leaves of the
    claim) and due_back: what the patient would get back beside, because the fund is not asked for it."""
    of_claim = per_claim.set_index("claim")
    requested, approved = (what_if["claim"].map(of_claim[name]) for name in ("requested", "approved"))
    cap = what_if["claim"].map(_caps_by_claim(found)).astype("Int64").fillna(requested)
    most = requested.where(requested < cap, cap)
    instead = approved + what_if["more"]
    approved_instead = instead.where(instead < most, most).astype("int64")
    crossing = what_if["option"] == "exemption_crossing"
    due_back = (what_if["more"] - (approved_instead - approved)).where(crossing, 0).astype("int64")
    out = what_if[["claim", "option", "choice"]].assign(approved=approved_instead, due_back=due_back)
    return out[(approved_instead > approved) | (due_back > 0)].astype({"claim": "int64"}).reset_index(drop=True)


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
    cap = position.map(_caps_by_claim(found)).astype("Int64").fillna(approved).astype("int64")
    approved = approved.where(approved <= cap, cap)
    approved = approved.mask(position.isin(refused_claims), 0)
    out["requested"], out["approved"], out["refused"] = requested, approved, requested - approved

    reasons = appraisal.referrals.drop_duplicates().groupby("claim")["reason"].agg(list)
    referral = position.map(reasons)
    rejected = position.isin(refused_claims)
    referred = referral.notna() & ~rejected
    outcome = np.select([rejected, referred, out["refused"] > 0], [REJECTED, REFERRED, ADJUSTED], ACCEPTED)
    out.insert(2, "outcome", pd.Series(outcome, index=out.index, dtype="str"))
    blocked = rejected | referred
    lacking = position.isin(_without_table(tables, found))
    out["paperless"] = ~blocked & ~lacking & (not signature_reasons)
    reasons_of = {
        (lack, block): as_json([*signature_reasons, *["mandatory-table-missing"] * lack, *["not-accepted"] * block])
        for lack in (False, True)
        for block in (False, True)
    }
    out["paperless_reasons"] = pd.Series(
        [reasons_of[pair] for pair in zip(lacking.tolist(), blocked.tolist(), strict=True)],
        index=out.index,
        dtype="str",
    )
    out["referral_reasons"] = pd.Series(
        [as_json(sorted(value)) if asked else "[]" for value, asked in zip(referral, referred, strict=True)],
        index=out.index,
        dtype="str",
    )
    return out


def _without_table(tables: ClaimTables, found: pd.DataFrame) -> set[int]:
    """Claims that lack a table which a rule asked for; not where their decision does not have that table."""
    out: set[int] = set()
    decisions = tables.claims.set_index("claim")["decision"]
    for entry in catalogue.book().values():
        names = entry.demands
        if not names:
            continue
        told = found.loc[(found["rule"] == entry.id) & found["claim"].notna(), "claim"].astype("int64").unique()
        for name in names if len(told) else ():
            having = [one for one in dictionary.DECISIONS if name in dictionary.tables(one)]
            out |= set(told[decisions.loc[told].isin(having).to_numpy()]) - claims_with(tables, name)
    return out


def _cuts(
    claims: ClaimLines,
    found: pd.DataFrame,
    adjusts: pd.DataFrame,
    per_line: pd.DataFrame,
    per_claim: pd.DataFrame,
    chosen: options.Options,
) -> pd.Series:
    cut = pd.Series(0, index=found.index, dtype="int64")
    requested = per_claim.set_index("claim")["requested"]
    whole = (found["severity"] == REJECT_CLAIM) & found["claim"].notna()
    cut[whole] = found.loc[whole, "claim"].astype("int64").map(requested).fillna(0).astype("int64")
    one = (found["severity"] == REJECT_LINE) & found["line_index"].notna()
    cut[one] = per_line.loc[found.loc[one, "line_index"].astype("int64"), "requested"].to_numpy()
    part = (found["severity"] == ADJUST_AMOUNT) & found["line_index"].notna() & found["correct_field"].notna()
    of_claim = (found["severity"] == ADJUST_AMOUNT) & found["line_index"].isna() & found["claim"].notna()
    for rule, group in adjusts.groupby("rule"):
        alone = allowed_amounts(claims, group, chosen=chosen)["fund"]
        lost = per_line.loc[alone.index, "requested"] - alone
        mine = part & (found["rule"] == rule)
        cut[mine] = lost.loc[found.loc[mine, "line_index"].astype("int64")].to_numpy()
        whole_claims = of_claim & (found["rule"] == rule)
        if whole_claims.any():
            by_claim = lost.groupby(claims.lines.loc[lost.index, "claim"]).sum()
            position = found.loc[whole_claims, "claim"].astype("int64")
            cut[whole_claims] = position.map(by_claim).fillna(0).astype("int64")
    caps = _caps(found)
    if len(caps):
        position = found.loc[caps.index, "claim"].astype("int64")
        cut[caps.index] = (position.map(requested) - caps).clip(lower=0).astype("int64")
    return cut


def _caps(found: pd.DataFrame) -> pd.Series:
    """The most that a finding leaves of its claim (int64, index of the findings that do so)."""
    adjusts = (found["severity"] == ADJUST_AMOUNT) & found["claim"].notna()
    return found.loc[adjusts & (found["correct_field"] == CLAIM), "correct_value"].astype("int64").clip(lower=0)


def _caps_by_claim(found: pd.DataFrame) -> pd.Series:
    """The most that findings leave of each claim that has one (int64, by claim)."""
    caps = _caps(found)
    return caps.groupby(found.loc[caps.index, "claim"].astype("int64")).min()
