"""Joins FHIR resources into claims: what belongs to which Encounter, and which resources make one line."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import pandas as pd

from claim_pipeline.errors import Quarantined
from claim_pipeline.extract.assemble import claims_of, orphans, structure
from claim_pipeline.extract.columns import TableColumns, UnknownElements, column_names
from claim_pipeline.extract.fhir import FORMAT
from claim_pipeline.extract.fhir.charges import Charges, Row, charges_by_claim, order_codes
from claim_pipeline.extract.fhir.mapping import Node, mapping
from claim_pipeline.extract.fhir.resources import Resource, Resources, as_dict, as_list, codings
from claim_pipeline.extract.result import Extracted
from claim_rules.dictionary import CLAIM_TABLES
from claim_rules.findings import REJECT_CLAIM, WARN, concat, findings
from claim_rules.frames import ClaimTables

_ENCOUNTER_OF = {  # where a resource says to which Encounter it belongs
    "Basic": "subject",
    "ChargeItem": "context",
    "ClinicalImpression": "encounter",
    "Condition": "encounter",
    "DiagnosticReport": "encounter",
    "MedicationRequest": "encounter",
    "Observation": "encounter",
    "Procedure": "encounter",
    "ServiceRequest": "encounter",
}
_TABLE_OF = {  # for which table, in the words of findings
    "MedicationRequest": "XML2",
    "ServiceRequest": "XML3",
    "Procedure": "XML3",
    "Observation": "XML4",
    "DiagnosticReport": "XML4",
    "ClinicalImpression": "XML5",
}
_MOST_NAMED = 20  # resources, elements or places that one finding names
_MOST_UNKNOWN = 50
_NOT_IN_XML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF))


class Reader:
    """Makes claim tables of the resources of one delivery."""

    def __init__(self, resources: Resources, inbox_facility: str | None, max_claims: int) -> None:
        self.resources = resources
        self.inbox_facility = inbox_facility
        self.max_claims = max_claims
        self.mapping = mapping()
        self.rows = {name: TableColumns(name, column_names(name), UnknownElements()) for name in CLAIM_TABLES}
        self.count: Counter[tuple[str, int]] = Counter()  # rows by table and claim
        self.claim_of: dict[int, int] = {}  # id of an Encounter's resource -> claim
        self.met: dict[int, dict[str, Resource]] = defaultdict(dict)  # broken resources that a claim needs
        self.cards: dict[int, list[Resource]] = defaultdict(list)  # Coverages by id of their holder's resource
        self.ignored: Counter[str] = Counter()
        self.strangers: Counter[str] = Counter()  # resources of no claim, by type
        self.now = 0  # the claim being made
        self.scope = 0
        self.ma_lk: str | None = None

    def read(self) -> Extracted:
        encounters = self._encounters()
        belonging = self._belonging()
        claims = [one for one in self.resources.all if one.type == "Claim" and self._counts(one)]
        extras = {claim: those["ChargeItem"] for claim, those in belonging.items()}
        charged, lost = charges_by_claim(self.resources, self.mapping, claims, extras, self.claim_of)
        if lost:
            self.strangers["Claim"] += len(lost)
        for card in self.resources.all:
            holder = self.resources.find(card.body.get("beneficiary"), card.scope) if card.type == "Coverage" else None
            if holder is not None and self._counts(card):
                self.cards[id(holder)].append(card)
        for claim, encounter in enumerate(encounters):
            self.now, self.scope = claim, encounter.scope
            self._claim(encounter, belonging[claim], charged[claim])
        frames = {name: rows.frame() for name, rows in self.rows.items() if any(n == name for n, _ in self.count)}
        about, about_facility = claims_of(
            frames["XML1"],
            inbox_facility=self.inbox_facility,
            place_vi="MA_CSKCB (Encounter.serviceProvider)",
            place_en="MA_CSKCB (Encounter.serviceProvider)",
            format=FORMAT,
        )
        found = [about_facility, *self._broken(), *self._of_delivery()]
        without_broken = ~about["claim"].isin(list(self.met))
        sound = about[without_broken].copy()
        found += structure(sound, {name: rows[rows["claim"].isin(sound["claim"])] for name, rows in frames.items()})
        about["readable"] = about["claim"].isin(sound.loc[sound["readable"], "claim"])
        return Extracted(
            ClaimTables(about, frames),
            concat(found),
            FORMAT,
            about["MA_CSKCB"].iloc[0],
            created_on=self.resources.created_on,
            unknown_columns=list(self.resources.unknown)[:_MOST_UNKNOWN],
        )

    # --- whose is what ----------------------------------------------------------------------------------------

    def _encounters(self) -> list[Resource]:
        """The Encounters that are claims; those that are part of another one are of its claim."""
        every = [one for one in self.resources.all if one.type == "Encounter" and self._counts(one)]
        tops = {id(one): self._top(one) for one in every}
        claims = [one for one in every if tops[id(one)] is one]
        if not claims:
            raise Quarantined(
                "not-a-delivery",
                "Trong dữ liệu FHIR không có Encounter nào để thanh toán",
                "the FHIR data holds no Encounter to be claimed",
                "Gửi Bundle có Encounter cùng các tài nguyên của đợt điều trị đó",
                "send a Bundle with the Encounter and the resources of that episode",
                format=FORMAT,
                ma_cskcb=self.inbox_facility,
            )
        if len(claims) > self.max_claims:
            raise Quarantined(
                "too-large",
                f"Tệp có hơn {self.max_claims} hồ sơ",
                f"the file holds more than {self.max_claims} claims",
                "Chia thành nhiều tệp nhỏ hơn rồi gửi lại",
                "send it again as several smaller files",
                format=FORMAT,
            )
        number = {id(one): claim for claim, one in enumerate(claims)}
        self.claim_of = {own: number[id(top)] for own, top in tops.items() if id(top) in number}
        return claims

    def _top(self, encounter: Resource) -> Resource:
        seen = {id(encounter)}
        while True:
            above = self.resources.find(encounter.body.get("partOf"), encounter.scope)
            if above is None or above.type != "Encounter" or id(above) in seen or self._status(above):
                return encounter
            seen.add(id(above))
            encounter = above

    def _counts(self, resource: Resource) -> bool:
        """Whether a resource counts, by its status; those that do not are numbered."""
        if self._status(resource):
            self.ignored[resource.type] += 1
            return False
        return True

    def _status(self, resource: Resource) -> bool:
        status = resource.body.get("status")
        if resource.type == "Condition":
            status = next((one.get("code") for one in codings(resource.body.get("verificationStatus"))), None)
        return isinstance(status, str) and status in self.mapping.ignored_status.get(resource.type, ())

    def _belonging(self) -> dict[int, dict[str, list[Resource]]]:
        """By claim and type: the resources that belong to it."""
        found: dict[int, dict[str, list[Resource]]] = defaultdict(lambda: defaultdict(list))
        diagnosed: dict[int, int] = {}
        for encounter in self.resources.all:
            claim = self.claim_of.get(id(encounter))
            if claim is not None:
                for entry in as_list(encounter.body.get("diagnosis")):
                    condition = self.resources.find(
                        entry.get("condition") if isinstance(entry, dict) else None, encounter.scope
                    )
                    if condition is not None:
                        diagnosed[id(condition)] = claim
                if encounter.faults:
                    self.met[claim][encounter.label] = encounter
                found[claim]["Encounter"].append(encounter)
        for resource in self.resources.all:
            if resource.type not in _ENCOUNTER_OF or not self._counts(resource):
                continue
            claim = self._claim_of(resource)
            if claim is None:
                claim = diagnosed.get(id(resource))
            if claim is None:
                self.strangers[resource.type] += 1
                continue
            if resource.faults:
                self.met[claim][resource.label] = resource
            found[claim][resource.type].append(resource)
        return found

    def _claim_of(self, resource: Resource) -> int | None:
        """The claim of the Encounter that a resource names, itself or by what it is based on."""
        encounter = self.resources.find(resource.body.get(_ENCOUNTER_OF[resource.type]), resource.scope)
        if encounter is not None:
            return self.claim_of.get(id(encounter))
        for reference in as_list(resource.body.get("basedOn")):
            order = self.resources.find(reference, resource.scope)
            if order is not None and order.type in _ENCOUNTER_OF and not order.body.get("basedOn"):
                return self._claim_of(order)
        return None

    # --- one claim --------------------------------------------------------------------------------------------

    def _resolve(self, reference: Node) -> Node | None:
        found = self._find(reference)
        return found.body if found is not None else None

    def _find(self, reference: Node) -> Resource | None:
        found = self.resources.find(reference, self.scope)
        if found is not None and found.faults:
            self.met[self.now][found.label] = found
        return found

    def _claim(self, encounter: Resource, own: dict[str, list[Resource]], charges: Charges) -> None:
        bodies = {kind: [one.body for one in those] for kind, those in own.items()}
        patient = self._resolve(encounter.body.get("subject")) or {}
        self._note_broken(charges.claims)
        self._general(encounter, patient, bodies, charges)
        reports = bodies.get("DiagnosticReport", [])
        self._drugs(bodies.get("MedicationRequest", []), charges)
        self._services(bodies, reports, charges)
        self._results(bodies.get("Observation", []), reports)
        for note in bodies.get("ClinicalImpression", []):
            self._row("XML5", {"note": [note]}, [note])
        for basic in bodies.get("Basic", []):
            systems = self.mapping.systems["table"]
            tables = [code.get("code") for code in codings(basic.get("code")) if code.get("system") in systems]
            if tables and tables[0] in self.rows and tables[0] != "XML1":
                self._row(tables[0], {}, [basic])
            else:
                self.resources.unknown["Basic.code"] = None

    def _general(self, encounter: Resource, patient: Node, bodies: dict[str, list[Node]], charges: Charges) -> None:
        coverages = self._coverages(patient, charges)
        arrival, main, others = self._diagnoses(encounter.body, bodies.get("Condition", []))
        weights = [
            one
            for one in bodies.get("Observation", [])
            if any(code.get("code") in self.mapping.weight for code in codings(one.get("code")))
        ]
        row = {
            "encounter": [encounter.body],
            "patient": [_named(patient)],
            "coverages": coverages,
            "arrival": arrival,
            "main": main,
            "others": others,
            "discharge": main + others,
            "procedures": bodies.get("Procedure", []),
            "weights": weights,
        }
        claims = [one.body for one in charges.claims]
        self._row("XML1", row, [encounter.body, *claims, patient, *main])

    def _coverages(self, patient: Node, charges: Charges) -> list[Node]:
        """The cards of a claim by the day they begin: those its Claim names, else those of its patient."""
        named = [self._find(reference) for reference in charges.coverages]
        found = [one for one in named if one is not None and one.type == "Coverage"]
        if not found:
            found = self.cards[id(self.resources.of(patient))]
        self._note_broken(found)
        bodies = list({id(one): one.body for one in found}.values())
        return sorted(bodies, key=lambda body: str(as_dict(body.get("period")).get("start") or ""))

    def _diagnoses(self, encounter: Node, conditions: list[Node]) -> tuple[list[Node], list[Node], list[Node]]:
        """Conditions of arrival, the main one of discharge, the others of discharge."""
        uses: dict[int, tuple[int, bool]] = {}
        for number, entry in enumerate(as_list(encounter.get("diagnosis"))):
            condition = self._resolve(entry.get("condition")) if isinstance(entry, dict) else None
            if condition is not None:
                codes = [code.get("code") for code in codings(entry.get("use"))]
                rank = entry.get("rank")
                order = rank if isinstance(rank, int) else 1000 + number
                at_arrival = any(code in self.mapping.admission_use for code in codes)
                if at_arrival or id(condition) not in uses:  # one Condition may be both
                    uses[id(condition)] = (order, at_arrival and id(condition) not in uses)
        every = sorted(conditions, key=lambda one: uses.get(id(one), (2000, False))[0])
        arrival = [one for one in every if uses.get(id(one), (0, False))[1]]
        discharge = [one for one in every if not uses.get(id(one), (0, False))[1]]
        return arrival, discharge[:1], discharge[1:]

    def _drugs(self, requests: list[Node], charges: Charges) -> None:
        for request in requests:
            medication = self._resolve(request.get("medicationReference")) or {}
            codes = order_codes(self.mapping, request.get("medicationCodeableConcept"), medication.get("code"))
            for row in charges.lines("XML2", {"request": [request], "medication": [medication]}, codes):
                self._line("XML2", row)
        for row in charges.rest("XML2"):
            self._line("XML2", row)

    def _services(self, bodies: dict[str, list[Node]], reports: list[Node], charges: Charges) -> None:
        done: dict[int, list[Node]] = defaultdict(list)
        alone: list[Node] = []
        orders = bodies.get("ServiceRequest", [])
        own = set(map(id, orders))
        for procedure in bodies.get("Procedure", []):
            asked = [self._resolve(reference) for reference in as_list(procedure.get("basedOn"))]
            of = next((order for order in asked if id(order) in own), None)
            (alone if of is None else done[id(of)]).append(procedure)
        reported: dict[int, list[Node]] = defaultdict(list)
        for report in reports:
            for reference in as_list(report.get("basedOn")):
                reported[id(self._resolve(reference))].append(report)
        rows = [
            {"request": [order], "procedure": done[id(order)], "report": reported[id(order)]} for order in orders
        ] + [{"procedure": [procedure]} for procedure in alone]
        for made_of in rows:
            ordered = made_of.get("request", []) + made_of["procedure"]
            codes = order_codes(self.mapping, *(order.get("code") for order in ordered))
            for row in charges.lines("XML3", made_of, codes):
                self._line("XML3", row)
        for row in charges.rest("XML3"):
            self._line("XML3", row)

    def _line(self, table: str, row: Row) -> None:
        names = ("item", "request", "procedure", "medication", "charge")
        self._row(table, row, [node for name in names for node in row.get(name, ())])

    def _results(self, observations: list[Node], reports: list[Node]) -> None:
        report_of: dict[int, Node] = {}
        with_results = set()
        for report in reports:
            for reference in as_list(report.get("result")):
                result = self._resolve(reference)
                if result is not None:
                    report_of[id(result)] = report
                    with_results.add(id(report))
        for observation in observations:
            codes = [code.get("code") for one in as_list(observation.get("category")) for code in codings(one)]
            if self.mapping.vital_signs in codes:
                continue
            report = report_of.get(id(observation))
            based = observation.get("basedOn") or (report or {}).get("basedOn")
            row = {"order": self._orders(based), "report": [report] if report else []}
            components = [part for part in as_list(observation.get("component")) if isinstance(part, dict)]
            without = {key: value for key, value in observation.items() if key not in ("component", "extension")}
            if not components or any(key.startswith("value") for key in observation):
                self._row("XML4", {**row, "observation": [observation]}, [observation])
            for part in components:
                own = {key: value for key, value in without.items() if not key.startswith("value")} | part
                self._row("XML4", {**row, "observation": [own]}, [own])
        for report in reports:
            if report.get("conclusion") or id(report) not in with_results:
                row = {"order": self._orders(report.get("basedOn")), "report": [report], "conclusion": [report]}
                self._row("XML4", row, [report])

    def _orders(self, references: Any) -> list[Node]:
        found = [self._resolve(reference) for reference in as_list(references)]
        return [one for one in found if one is not None]

    def _row(self, table: str, row: Row, given_by: list[Node]) -> None:
        """Adds a row. given_by: the resources whose extensions may give its elements, the foremost first."""
        given = self.mapping.given(table, given_by)
        elements = self.mapping.elements.get(table, ())
        per_card = {element.name for element in elements if element.mapping.each}
        of_cards = self.mapping.given(table, row.get("coverages", ()))
        given = {name: text for name, text in of_cards.items() if name not in per_card} | given
        cells = {element.name: element.find(row, self._resolve) for element in elements if element.name not in given}
        names = column_names(table)
        for name, text in given.items():
            if name in names:
                cells[name] = text
            else:
                self.resources.unknown[f"{table}.{name[:100]}"] = None
        if table == "XML1":
            self.ma_lk = cells.get("MA_LK")
        cells["MA_LK"] = self.ma_lk
        self.count[table, self.now] += 1
        texts = [text.translate(_NOT_IN_XML) if text is not None else None for text in cells.values()]
        self.rows[table].add(self.now, self.count[table, self.now], tuple(cells), texts)

    # --- what is reported -------------------------------------------------------------------------------------

    def _note_broken(self, resources: list[Resource]) -> None:
        for one in resources:
            if one.faults:
                self.met[self.now][one.label] = one

    def _broken(self) -> list[pd.DataFrame]:
        """STR-002: claims that need a resource which is not FHIR R4, and such resources that no claim needs."""
        rows = []
        needed = set()
        for claim, those in sorted(self.met.items()):
            for one in list(those.values())[:_MOST_NAMED]:
                needed.add(id(one))
                rows.append(
                    {"claim": claim, "severity": REJECT_CLAIM, "table": _TABLE_OF.get(one.type, "XML1")} | _fault(one)
                )
        others = [one for one in self.resources.all if one.faults and id(one) not in needed]
        rows += [{"severity": WARN, **_fault(one)} for one in others[:_MOST_NAMED]]
        for place in self.resources.broken_places[:_MOST_NAMED]:
            rows.append(
                {
                    "severity": WARN,
                    "detail_vi": f"{place}: không phải tài nguyên FHIR R4; nội dung ở đó không được đọc",
                    "detail_en": f"{place}: is no FHIR R4 resource; what it holds was not read",
                }
            )
        return [findings([{"rule": "STR-002", **row} for row in rows])] if rows else []

    def _of_delivery(self) -> list[pd.DataFrame]:
        """Warnings of the delivery as a whole: nothing that was sent is passed over silently."""
        found = [
            orphans(
                _TABLE_OF.get(kind, "XML1"),
                times,
                f"{times} tài nguyên {kind} không thuộc Encounter nào trong tệp; chúng không thuộc hồ sơ nào",
                f"{times} {kind} resources belong to no Encounter of the file; they belong to no claim",
            )
            for kind, times in sorted(self.strangers.items())
        ]
        texts = []
        if self.resources.lacking:
            told = ", ".join(f"{path} ({n})" for path, n in self.resources.lacking.most_common(_MOST_NAMED))
            texts.append(
                (
                    f"thiếu phần tử mà FHIR R4 bắt buộc, tài nguyên vẫn được đọc: {told}",
                    f"elements that FHIR R4 requires are missing, the resources were read all the same: {told}",
                )
            )
        if self.ignored:
            told = ", ".join(f"{kind} ({n})" for kind, n in sorted(self.ignored.items()))
            texts.append(
                (
                    f"không tính vì status (đã hủy, nháp, nhập nhầm …): {told}",
                    f"not taken because of their status (cancelled, draft, entered in error …): {told}",
                )
            )
        if self.resources.repeated:
            texts.append(
                (
                    f"{self.resources.repeated} tài nguyên có hai lần với nội dung khác nhau; bản sau được dùng",
                    f"{self.resources.repeated} resources are there twice with other content; the later one was taken",
                )
            )
        if self.resources.more_pages:
            texts.append(
                (
                    "Bundle có liên kết next: tệp chỉ là một trang của kết quả, có thể thiếu tài nguyên",
                    "the Bundle has a link next: it is one page of several and resources may be missing",
                )
            )
        rows = [{"rule": "STR-002", "severity": WARN, "detail_vi": vi, "detail_en": en} for vi, en in texts]
        return [*found, findings(rows)] if rows else found


def _fault(resource: Resource) -> dict[str, str]:
    paths = ", ".join(resource.faults)
    return {
        "detail_vi": f"{resource.label}: không đúng FHIR R4 ở {paths}",
        "detail_en": f"{resource.label}: not FHIR R4 at {paths}",
    }


def _named(patient: Node) -> Node:
    """The patient with the name in one text: the official one, in Vietnamese order."""
    names = [name for name in as_list(patient.get("name")) if isinstance(name, dict)]
    name = next((one for one in names if one.get("use") == "official"), names[0] if names else {})
    parts = [name.get("text")] if name.get("text") else [name.get("family"), *as_list(name.get("given"))]
    return {**patient, "name": " ".join(part for part in parts if isinstance(part, str))}
