"""What another appraisal of the same claims changes: claims, amounts, findings per rule; as frames and as a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from claim_pipeline.results import FINDING, digests
from claim_rules.money import amount_text
from claim_rules.outcome import OUTCOMES

if TYPE_CHECKING:
    from claim_pipeline.store.appraisals import Decided
    from claim_pipeline.workspace import Workspace

SCHEMA = "giamdinh.reappraisal/1"
MONEY = ("requested", "approved", "refused")
DECIDES = tuple(name for name in FINDING if name not in ("message_vi", "message_en", "basis"))
"""What of a finding decides; the wording of its message does not."""
_PLACE = ["claim", "rule", "severity", "table", "row", "field"]
RULE_COLUMNS = ("before", "after", "gained", "lost", "claims_gained", "claims_lost", "amount_before", "amount_after")


@dataclass(frozen=True)
class Difference:
    """One delivery, before and after.

    claims: one row for each claim that was compared: claim (position), MA_LK, changed (bool), and outcome, requested,
    approved, refused, each with _before and _after, gained and lost (`;` lists of rules). rules: index rule,
    RULE_COLUMNS (findings, claims, int64; amounts that the findings alone would cut, 1/100 đồng). reworded: claims that
    only words would change.
    """

    claims: pd.DataFrame
    rules: pd.DataFrame
    reworded: int

    @property
    def changed(self) -> set[int]:
        """Positions of the claims of which something else is decided."""
        return set(self.claims.loc[self.claims["changed"], "claim"])


class Result(NamedTuple):
    """What was decided, as appraise.run writes it."""

    claims: pd.DataFrame
    lines: pd.DataFrame
    findings: pd.DataFrame


def of_files(ws: Workspace) -> Result:
    """What lies in a working folder."""
    return Result(*(ws.read_frame(name) for name in ("claim_outcomes", "line_outcomes", "findings")))


def compare(before: Decided, after: Result | Decided, positions: Iterable[int]) -> Difference:
    """What stands against what would, for the claims at these positions."""
    wanted = set(positions)
    old = [_of(frame, wanted) for frame in (before.claims, before.lines, before.findings)]
    new = [_of(frame, wanted) for frame in (after.claims, after.lines, after.findings)]
    # in another order, findings decide the same
    decided = [
        digests(claims, _lines(lines), _sorted(found)).by_claim
        for claims, lines, found in (
            (old[0], old[1], _decisive(old[2])),
            (new[0], new[1], _decisive(new[2])),
        )
    ]
    in_full = digests(*new).by_claim
    recorded = dict(zip(old[0]["claim"], old[0]["result_sha256"], strict=True))
    claims = old[0][["claim", "MA_LK", "outcome", *MONEY]].merge(
        new[0][["claim", "outcome", *MONEY]], on="claim", suffixes=("_before", "_after"), validate="1:1"
    )
    claims["changed"] = [decided[0].get(claim) != decided[1].get(claim) for claim in claims["claim"]]
    same = claims.loc[~claims["changed"], "claim"]
    reworded = sum(1 for claim in same if recorded[claim] == recorded[claim] and recorded[claim] != in_full[claim])
    moves = _moves(old[2], new[2])
    rules = _rules(old[2], new[2], moves)
    for name, sign in (("gained", 1), ("lost", -1)):
        some = moves[moves["more"] * sign > 0].drop_duplicates(["claim", "rule"])
        text = {claim: "; ".join(sorted(of["rule"])) for claim, of in some.groupby("claim")}
        claims[name] = pd.Series([text.get(claim, "") for claim in claims["claim"]], dtype="str")
    return Difference(claims, rules, reworded)


def _of(frame: pd.DataFrame, wanted: set[int]) -> pd.DataFrame:
    return frame[frame["claim"].isin(wanted)].reset_index(drop=True)


def _decisive(found: pd.DataFrame) -> pd.DataFrame:
    blank = dict.fromkeys(set(FINDING) - set(DECIDES), pd.Series([pd.NA] * len(found), dtype="str"))
    return found.assign(**blank)


def _lines(lines: pd.DataFrame) -> pd.DataFrame:
    return lines.sort_values(["claim", "table", "row"], kind="stable") if len(lines) else lines


def _sorted(found: pd.DataFrame) -> pd.DataFrame:
    return found.sort_values(["claim", *DECIDES], kind="stable", na_position="first") if len(found) else found


def _keyed(found: pd.DataFrame) -> pd.DataFrame:
    """Findings by where they are: how many, and the amount that they would cut."""
    keys = found[_PLACE].copy()
    for name in ("table", "field"):
        keys[name] = keys[name].fillna("")
    keys["row"] = keys["row"].fillna(0).astype("int64")
    keys["claim"] = keys["claim"].astype("int64")
    return keys.groupby(_PLACE).size().rename("count").reset_index()


def _moves(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Findings that come (more > 0) and go (more < 0), by claim, rule and place."""
    both = _keyed(old).merge(_keyed(new), on=_PLACE, how="outer", suffixes=("_before", "_after"))
    both["more"] = both["count_after"].fillna(0) - both["count_before"].fillna(0)
    return both.loc[both["more"] != 0, [*_PLACE, "more"]].astype({"more": "int64"})


def _rules(old: pd.DataFrame, new: pd.DataFrame, moves: pd.DataFrame) -> pd.DataFrame:
    names = sorted({*old["rule"], *new["rule"]})
    out = pd.DataFrame(0, index=pd.Index(names, name="rule"), columns=list(RULE_COLUMNS), dtype="int64")
    for when, found in (("before", old), ("after", new)):
        by_rule = found.groupby("rule")
        out[when] = by_rule.size().reindex(out.index).fillna(0).astype("int64")
        amounts = by_rule["amount_refused"].sum().reindex(out.index)
        out[f"amount_{when}"] = amounts.fillna(0).astype("int64")
    for name, sign in (("gained", 1), ("lost", -1)):
        some = moves[moves["more"] * sign > 0]
        out[name] = (some.groupby("rule")["more"].sum() * sign).reindex(out.index).fillna(0).astype("int64")
        out[f"claims_{name}"] = some.groupby("rule")["claim"].nunique().reindex(out.index).fillna(0).astype("int64")
    return out


def report(
    about: dict[str, Any],
    claims: pd.DataFrame,
    rules: pd.DataFrame,
) -> dict[str, Any]:
    """The difference report (docs/officer.md): what it is about, totals, outcomes that move, facilities, rules, claims
    that change.

    about: stands at the head as it is. claims: as Difference.claims with MA_CSKCB and delivery; rules: as
    Difference.rules, a rule once or more often.
    """
    changed = claims[claims["changed"]]
    return {
        "schema": SCHEMA,
        **about,
        "totals": {
            "claims": len(claims),
            "changed": len(changed),
            "before": _totals(claims, "before"),
            "after": _totals(claims, "after"),
            "difference": _more(claims),
        },
        "moves": [
            {
                "before": before,
                "after": after,
                "claims": len(some),
                "difference": _more(some),
            }
            for (before, after), some in changed.groupby(["outcome_before", "outcome_after"])
        ],
        "facilities": [
            {
                "MA_CSKCB": facility,
                "deliveries": int(some["delivery"].nunique()),
                "claims": len(some),
                "changed": int(some["changed"].sum()),
                "approved_before": amount_text(int(some["approved_before"].sum())),
                "approved_after": amount_text(int(some["approved_after"].sum())),
                "difference": _more(some),
            }
            for facility, some in claims.groupby("MA_CSKCB")
        ],
        "rules": _rule_rows(rules),
        "claims": _claim_rows(changed),
    }


def _more(claims: pd.DataFrame) -> str:
    return _text(int((claims["approved_after"] - claims["approved_before"]).sum()))


def _text(hundredths: int) -> str:
    return f"{'-' if hundredths < 0 else ''}{amount_text(abs(hundredths))}"


def _totals(claims: pd.DataFrame, when: str) -> dict[str, Any]:
    outcomes = claims[f"outcome_{when}"]
    return {name: int((outcomes == name).sum()) for name in OUTCOMES} | {
        name: amount_text(int(claims[f"{name}_{when}"].sum())) for name in MONEY
    }


def _rule_rows(rules: pd.DataFrame) -> list[dict[str, Any]]:
    if not len(rules):
        return []
    summed = rules.groupby(level="rule")[list(RULE_COLUMNS)].sum()
    moved = summed[(summed["gained"] > 0) | (summed["lost"] > 0) | (summed["amount_before"] != summed["amount_after"])]
    order = np.lexsort((moved.index, -(moved["amount_after"] - moved["amount_before"]).abs()))
    out = []
    for rule, *values in moved.iloc[order].itertuples(name=None):
        row = dict(zip(RULE_COLUMNS, values, strict=True))
        more = row["amount_after"] - row["amount_before"]
        amounts = {name: amount_text(int(row[name])) for name in ("amount_before", "amount_after")}
        counts = {name: int(row[name]) for name in RULE_COLUMNS if not name.startswith("amount")}
        out.append({"rule": rule, **counts, **amounts, "difference": _text(int(more))})
    return out


def _claim_rows(changed: pd.DataFrame) -> list[dict[str, Any]]:
    rows = changed.assign(by=(changed["approved_after"] - changed["approved_before"]).abs())
    rows = rows.sort_values(["by", "MA_CSKCB", "delivery", "claim"], ascending=[False, True, True, True])
    out = []
    for row in rows.to_dict("records"):
        sides = {
            when: {"outcome": row[f"outcome_{when}"]} | {name: amount_text(row[f"{name}_{when}"]) for name in MONEY}
            for when in ("before", "after")
        }
        out.append(
            {
                "MA_CSKCB": row["MA_CSKCB"],
                "delivery": int(row["delivery"]),
                "position": int(row["claim"]) + 1,
                "MA_LK": None if pd.isna(row["MA_LK"]) else row["MA_LK"],
                **sides,
                "difference": _text(row["approved_after"] - row["approved_before"]),
                "gained": [rule for rule in row["gained"].split("; ") if rule],
                "lost": [rule for rule in row["lost"].split("; ") if rule],
            }
        )
    return out
