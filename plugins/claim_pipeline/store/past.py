"""What is kept of every claim for the rules that look at other claims, and the frames of others that they are given.

Kept are the standing claims: those that could be read and that no rule of structure refused. Of a claim with several
versions the newest stands. Received before means that the first version of the one claim was received before the first
of the other: a correction does not lose its place.

The order in which deliveries are recorded makes no difference. A delivery is appraised beside what is recorded by then;
when another is recorded, `note_affected` notes those that would look otherwise beside it (and the new one itself, if
something was recorded that its appraisal could not see yet), and they are appraised again. What depends on the order of
receipt alone: of two claims that exclude each other (DUP-001, 002, 003, 005, 013, BEN-015) the one received first is
paid; SIG-004 and BEN-022 look at versions and claims received before. A finding goes on naming the other claim that it
named first where several trip the rule, for an appraisal that differs in words alone is not recorded.

Whether a claim stands is decided when it is recorded, and again for one that was refused and now is not; one that a
rule of structure refuses only at a later appraisal goes on being seen here.

Numbers and names of persons are kept in clear: they are joined on and compared (CARD-017), and these are the only
tables of the database that hold them. Keyed hashes of them would serve the joins, but they do not protect what lies
beside them: whoever runs the database runs the archive too, which holds every claim as it was sent, and whose
history.zip of each appraisal has the same numbers. They would bring a secret that each process must have, that --as-of
needs as long as outcomes are reproduced, and whose loss or change makes every earlier claim invisible to these rules
until `giamdinh history rebuild` has run. Hashes without a key are no protection: ten digits are soon tried. Where the
database is in other hands than the archive, hashing the columns key, numbers, citizen, holder and person is the change
to make, together with what `frames` gives.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
import psycopg
from psycopg import sql

from claim_pipeline.histories import SNAPSHOT
from claim_pipeline.store import bulk
from claim_rules import law
from claim_rules.episodes import (
    COSTS,
    LINE_TEXTS,
    LINES,
    NEAR_DAYS,
    NO_PERSON,
    ORDER,
    PERSONS,
    VISIT_TEXTS,
    VISITS,
    person_keys,
    visit_costs,
)
from claim_rules.frames import ClaimTables, texts
from claim_rules.lines import build, kind_of_care
from claim_rules.rules.card_register import name_key

DEVICES, DEVICE_VISITS = "devices", "device_visits"
_TIMES = {"NGAY_VAO": "started", "NGAY_VAO_NOI_TRU": "admitted", "NGAY_RA": "ended"}
_AS_SENT = ("MA_LOAI_KCB", "MA_DOITUONG_KCB", "MA_BENH_CHINH", "KET_QUA_DTRI", "MA_NOI_DI")
_HOLDER = ("MA_THE_BHYT", "SO_CCCD", "HO_TEN")
_BEDS = ("MA_KHOA", "MA_GIUONG")
_ZONE = "Asia/Ho_Chi_Minh"


@dataclass
class Kept:
    """Rows for the tables visit, visit_cost, visit_person, visit_device, visit_bed; `claim`: position in the delivery.

    visits: claim, MA_LK and the columns of `visit` that come from the claim; costs: claim, COSTS (1/100 đồng); persons:
    claim, key; devices: claim, ma_vat_tu, ma_hieu_sp; beds: claim, row, ma_khoa, ma_giuong, started, ended, person.
    Text, times of Vietnam.
    """

    visits: pd.DataFrame
    costs: pd.DataFrame
    persons: pd.DataFrame
    devices: pd.DataFrame
    beds: pd.DataFrame

    @classmethod
    def of(cls, tables: ClaimTables, refused: set[int], costs: pd.DataFrame | None = None) -> Kept:
        """What is kept of the claims of a delivery, but for those refused by a rule of structure. costs: as
        claim_rules.episodes.costs gives them, where they are known already."""
        claims = tables.claims[tables.claims["readable"] & ~tables.claims["claim"].isin(refused)]
        index = pd.Index(claims["claim"])
        sent = texts(tables, "XML1", ("MA_LK", *_TIMES, *_AS_SENT, *_HOLDER), index).drop_duplicates("claim")
        visits = sent.set_index("claim")
        persons = person_keys(visits).rename(columns={"id": "claim"})
        numbers = persons[persons["key"].str.len() == 10].sort_values("key").groupby("claim")["key"].agg(";".join)
        citizens = persons[persons["key"].str.len() == 12].set_index("claim")["key"]
        kept = pd.DataFrame({"claim": visits.index, "MA_LK": visits["MA_LK"].array})
        for element, column in _TIMES.items():
            kept[column] = _time(visits[element]).array
        for element in _AS_SENT:
            kept[element.lower()] = visits[element].array
        decision = tables.claims.set_index("claim")["decision"].reindex(visits.index)
        kept["ma_loai_kcb"] = kind_of_care(visits["MA_LOAI_KCB"], decision).array
        kept["numbers"] = numbers.reindex(visits.index).fillna("").array
        kept["citizen"] = citizens.reindex(visits.index).fillna("").array
        kept["holder"] = name_key(visits["HO_TEN"]).array
        slips = texts(tables, "XML14", ("NGAY_HEN_KL",), index).drop_duplicates("claim").set_index("claim")
        kept["appointed"] = _day(slips["NGAY_HEN_KL"]).reindex(visits.index).array
        kept["referred"] = visits.index.isin(texts(tables, "XML13", (), index)["claim"])
        costs = visit_costs(build(tables)) if costs is None else costs
        costs = costs[costs["claim"].isin(visits.index)].reset_index(drop=True)
        return cls(kept, costs, persons, _devices(tables, index), _beds(tables, index, visits))

    def write(self, connection: psycopg.Connection[Any], version: pd.Series[Any], facility: str) -> None:
        """Adds the rows of a delivery that is being recorded. version: position of each claim -> id of its version."""
        costs = self.costs.assign(**{name: bulk.money(self.costs[name]) for name in COSTS})
        for table, frame in (
            ("visit", self.visits.drop(columns="MA_LK").assign(facility=facility)),
            ("visit_cost", costs),
            ("visit_person", self.persons),
            ("visit_device", self.devices),
            ("visit_bed", self.beds.assign(facility=facility)),
        ):
            if len(frame):
                _copy(connection, table, frame.drop(columns="claim"), {"version": frame["claim"].map(version)})


def fill(connection: psycopg.Connection[Any], delivery_id: int, facility: str, kept: Kept) -> int:
    """Adds what is kept of the claims of a recorded delivery and is not there yet (recorded by an older version, or
    refused by a rule of structure then and not now). Returns the number of claims of which something was added."""
    rows = connection.execute(_HELD, [delivery_id]).fetchall()
    version = pd.Series([row[1] for row in rows], index=[row[0] for row in rows], dtype="Int64")
    held = {row[0] for row in rows if row[2]}
    costed = {row[0] for row in rows if row[3]}
    new = set(version.index) & set(kept.visits["claim"]) - held

    def only(frame: pd.DataFrame, claims: set[int]) -> pd.DataFrame:
        return frame[frame["claim"].isin(claims)].reset_index(drop=True)

    without_cost = ((held & set(version.index)) | new) - costed
    Kept(
        only(kept.visits, new),
        only(kept.costs, without_cost),
        only(kept.persons, new),
        only(kept.devices, new),
        only(kept.beds, new),
    ).write(connection, version, facility)
    return len(new | (without_cost & set(kept.costs["claim"])))


_HELD = """
SELECT v.position, v.id, s.version IS NOT NULL, c.version IS NOT NULL
FROM claim_version v LEFT JOIN visit s ON s.version = v.id LEFT JOIN visit_cost c ON c.version = v.id
WHERE v.delivery = %s AND v.readable
"""


def _copy(connection: psycopg.Connection[Any], table: str, frame: pd.DataFrame, first: dict[str, Any]) -> None:
    text = {str(name): bulk.plain_text(frame[name]) for name in frame if frame[name].dtype != "bool" and name != "row"}
    bulk.copy_in(connection, table, first | {str(name): text.get(str(name), frame[name]) for name in frame})


def _time(text: pd.Series[Any]) -> pd.Series[Any]:
    """Times of Vietnam in SQL's form; NA where the text is no time (yyyyMMddHHmm)."""
    time = pd.to_datetime(text.where(text.str.fullmatch("[0-9]{12}")), format="%Y%m%d%H%M", errors="coerce")
    return time.dt.strftime("%Y-%m-%d %H:%M:00+07").astype("str")


def _day(text: pd.Series[Any]) -> pd.Series[Any]:
    day = pd.to_datetime(text.where(text.str.fullmatch("[0-9]{8}")), format="%Y%m%d", errors="coerce")
    return day.dt.strftime("%Y-%m-%d").astype("str")


def _devices(tables: ClaimTables, index: pd.Index[Any]) -> pd.DataFrame:
    """Supplies with what looks like a serial number (law/repeats.yaml)."""
    lines = texts(tables, "XML3", ("MA_VAT_TU", "MA_HIEU_SP"), index)
    lines = lines[(lines["MA_VAT_TU"] != "") & lines["MA_HIEU_SP"].str.fullmatch(law.load("repeats")["serial"])]
    lines = lines[["claim", "MA_VAT_TU", "MA_HIEU_SP"]].drop_duplicates()
    return lines.rename(columns=str.lower).reset_index(drop=True)


def _beds(tables: ClaimTables, index: pd.Index[Any], visits: pd.DataFrame) -> pd.DataFrame:
    """Rows of one bed each, with their time and who lay there."""
    lines = texts(tables, "XML3", ("MA_NHOM", *_BEDS, "NGAY_YL", "NGAY_KQ"), index)
    one = (lines["MA_GIUONG"] != "") & ~lines["MA_GIUONG"].str.contains(";")
    lines = lines[one & lines["MA_NHOM"].isin(law.load("bed_rates")["groups"]) & lines["claim"].isin(visits.index)]
    end = lines["NGAY_KQ"].where(lines["NGAY_KQ"] != "", lines["claim"].map(visits["NGAY_RA"]).astype("str"))
    beds = lines[["claim", "row", *_BEDS]].rename(columns=str.lower)
    beds = beds.assign(started=_time(lines["NGAY_YL"]), ended=_time(end.astype("str")))
    beds["person"] = beds["claim"].map(visits["MA_THE_BHYT"]).astype("str")
    return beds.dropna(subset=["started", "ended"]).reset_index(drop=True)


def frames(
    connection: psycopg.Connection[Any], delivery_id: int, facility: str, tables: ClaimTables
) -> dict[str, pd.DataFrame]:
    """Frames of other claims for the rules (claim_rules.engine.Case.history), but for "versions": "order", "visits",
    "persons", "lines", "devices", "device_visits", "beds", "holders", "deaths", "appointments", "transfers" and
    "recalled".

    tables: of the delivery. One query for each frame, whatever the number of claims. Claims of the delivery itself are
    left out, and so are earlier versions of them; "order" says which of its claims a later version replaces. Needs a
    transaction of its own, REPEATABLE READ, so that all frames are of one moment: it makes temporary tables. SNAPSHOT
    tells the moment, for `note_affected`.
    """
    from claim_pipeline.store.recording import identity

    none = pd.DataFrame({name: pd.Series([], dtype="int64") for name in ("claim", *COSTS)})
    own = Kept.of(tables, set(), none)
    connection.execute(_OWN)
    visits = own.visits.assign(MA_LK=identity(own.visits["MA_LK"])).rename(columns={"MA_LK": "ma_lk"})
    visits["stands"] = visits["ma_lk"].isna() | ~visits["ma_lk"].duplicated()
    for table, frame in (
        ("own_visit", visits),
        ("own_person", own.persons),
        ("own_device", own.devices),
        ("own_bed", own.beds.drop(columns=["row", "person"]).drop_duplicates()),
    ):
        if len(frame):
            _copy(connection, table, frame.drop(columns="claim"), {"position": frame["claim"].astype("int64")})
    facts = {
        "delivery": sql.Literal(delivery_id),
        "facility": sql.Literal(facility),
        "slip_days": sql.Literal(law.load("papers")["transfer_claim_days"]),
    } | _limits()
    for statement in _PREPARE:
        connection.execute(sql.SQL(statement).format(**facts))
    out = {
        name: bulk.copy_out_text(connection, sql.SQL(query).format(**facts), columns)
        for name, (query, columns) in _FRAMES.items()
    }
    for frame in out.values():
        for name in ("id", "claim", "received", "approved", "visits"):
            if name in frame:
                frame[name] = frame[name].astype("int64")
    holders = out["holders"]
    out["holders"] = holders.assign(number=holders["number"].str.split(";")).explode("number").reset_index(drop=True)
    visits = out[VISITS]
    amounts = {name: _hundredths(visits[name]) for name in COSTS}
    seen = bulk.copy_out_text(connection, sql.SQL("SELECT pg_current_snapshot()::text"), ("snapshot",))
    return {name: frame.fillna("") for name, frame in out.items()} | {
        VISITS: visits.drop(columns=list(COSTS)).fillna("").assign(**amounts),
        SNAPSHOT: seen,
    }


def _hundredths(amounts: pd.Series[Any]) -> pd.Series[Any]:
    return amounts.str.replace(".", "", regex=False).astype("Int64")


def one_at_a_time(connection: psycopg.Connection[Any]) -> None:
    """Waits until nobody else notes what a delivery affects; until the end of the transaction nobody else does. Of two
    deliveries that are recorded at once the second so sees the first."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_NOTING])


def note_affected(connection: psycopg.Connection[Any], delivery_id: int, facility: str, snapshot: str | None) -> None:
    """Notes which recorded deliveries must be appraised again because this one came: those with claims for which it, or
    a version that it replaces, is another claim that a rule looks at. Called last in the transaction that records it,
    after `one_at_a_time`.

    snapshot: what its own appraisal could see (frames, SNAPSHOT); where it missed something that is recorded by now the
    delivery itself is noted. None: it saw nothing.
    """
    facts = {
        "delivery": sql.Literal(delivery_id),
        "facility": sql.Literal(facility),
        "snapshot": sql.Literal(snapshot),
    } | _limits()
    connection.execute(sql.SQL(_CHANGED).format(**facts))
    connection.execute("CREATE INDEX ON changed_person (key); ANALYZE changed, changed_person")
    connection.execute(sql.SQL(_AFFECTED).format(**facts))


def note_recalls(connection: psycopg.Connection[Any], delivery_id: int, positions: Collection[int]) -> None:
    """Notes the deliveries that recall what was paid for claims of a delivery (BEN-022): what stands for the claims at
    these positions has changed."""
    facts = {"delivery": sql.Literal(delivery_id), "positions": sql.Literal(sorted(positions))} | _limits()
    connection.execute(sql.SQL(_RECALLS).format(**facts))


def _limits() -> dict[str, sql.Composable]:
    return {
        "no_person": sql.Literal(NO_PERSON),
        "died": sql.Literal(law.load("card_status")["died"]),
        "months": sql.Literal(law.load("card_status")["person_months"]),
        "inpatient": sql.Literal(law.load("inpatient")["codes"]),
        "outpatient": sql.Literal(law.load("repeats")["outpatient"]),
        "recalled": sql.Literal(law.load("repeats")["recalled"]),
        "no_device": sql.Literal(law.load("repeats")["no_device"]),
        "near": sql.Literal(NEAR_DAYS),
    }


_NOTING = 7_204_611_004  # advisory lock: one delivery at a time

_OWN = """
CREATE TEMPORARY TABLE own_visit (
    position bigint PRIMARY KEY, ma_lk text, started timestamptz, admitted timestamptz, ended timestamptz,
    ma_loai_kcb text, ma_doituong_kcb text, ma_benh_chinh text, ket_qua_dtri text, ma_noi_di text, numbers text,
    citizen text, holder text, appointed date, referred boolean, stands boolean
) ON COMMIT DROP;
CREATE TEMPORARY TABLE own_person (position bigint, key text) ON COMMIT DROP;
CREATE TEMPORARY TABLE own_device (position bigint, ma_vat_tu text, ma_hieu_sp text) ON COMMIT DROP;
CREATE TEMPORARY TABLE own_bed (
    position bigint, ma_khoa text, ma_giuong text, started timestamptz, ended timestamptz
) ON COMMIT DROP;
"""

# The first receipt of a claim as one number: the delivery, then the place in it.
_RECEIVED = "(first.delivery << 20) + first.position"
_FIRST = """
LATERAL (
    SELECT w.delivery, w.position FROM claim_version w
    WHERE w.claim = v.claim AND NOT w.duplicate ORDER BY w.delivery LIMIT 1
) first
"""
# A version that stands: the newest; not one of which this delivery brings a newer one.
_STANDS = """
v.newest AND v.delivery <> {delivery} AND (v.delivery > {delivery} OR NOT EXISTS (
    SELECT FROM own_visit mine WHERE mine.ma_lk = v.ma_lk AND s.facility = {facility}))
"""
_TIME = "to_char({} AT TIME ZONE '" + _ZONE + "', 'YYYYMMDDHH24MI')"
_DAY_OF = "({} AT TIME ZONE '" + _ZONE + "')::date"

# Visits of other deliveries that bear the code c; none is looked at beyond those that tell whether it is a device.
_BORNE_ELSEWHERE = """
(SELECT count(*) FROM (
    SELECT FROM visit_device d JOIN claim_version v ON v.id = d.version AND v.delivery <> {delivery}
    WHERE d.ma_vat_tu = c.ma_vat_tu AND d.ma_hieu_sp = c.ma_hieu_sp LIMIT {no_device} + 1) those)
"""

_PREPARE = (
    # A number that many visits bear is a placeholder and nobody's.
    """
    DELETE FROM own_person WHERE key IN (
        SELECT k.key FROM (SELECT DISTINCT key FROM own_person) k,
            LATERAL (SELECT count(*) AS borne FROM (SELECT FROM visit_person p WHERE p.key = k.key
                                                    LIMIT {no_person} + 1) those) held
        WHERE held.borne > {no_person})
    """,
    "CREATE INDEX ON own_person (key)",
    "CREATE INDEX ON own_person (position)",
    "ANALYZE own_visit, own_person, own_device, own_bed",
    # A code that many visits bear is a product model and no device; no_device + 1 stands for more.
    f"""
    CREATE TEMPORARY TABLE own_code ON COMMIT DROP AS
    SELECT c.ma_vat_tu, c.ma_hieu_sp, {_BORNE_ELSEWHERE} AS visits
    FROM (SELECT DISTINCT ma_vat_tu, ma_hieu_sp FROM own_device) c
    """,
    f"""
    CREATE TEMPORARY TABLE own_order ON COMMIT DROP AS
    SELECT o.position, coalesce(seen.received, ({{delivery}}::bigint << 20) + o.position) AS received
    FROM own_visit o LEFT JOIN LATERAL (
        SELECT {_RECEIVED} AS received FROM claim c, LATERAL (SELECT c.id AS claim) v, {_FIRST}
        WHERE c.facility = {{facility}} AND c.ma_lk = o.ma_lk
          AND first.delivery < {{delivery}}
    ) seen ON true
    """,
    # What a later delivery has replaced stands no more.
    """
    UPDATE own_visit o SET stands = false FROM claim c
    WHERE c.facility = {facility} AND c.ma_lk = o.ma_lk AND EXISTS (
        SELECT FROM claim_version w WHERE w.claim = c.id AND NOT w.duplicate AND w.delivery > {delivery})
    """,
    f"""
    CREATE TEMPORARY TABLE near ON COMMIT DROP AS
    SELECT DISTINCT s.version
    FROM own_person p JOIN own_visit o USING (position) JOIN visit_person q ON q.key = p.key
    JOIN visit s ON s.version = q.version JOIN claim_version v ON v.id = s.version
    WHERE s.started <= o.ended + make_interval(days => {{near}})
      AND s.ended >= o.started - make_interval(days => {{near}}) AND {_STANDS}
    """,
    "ANALYZE near",
    # Visits of this facility on an appointment (1.5): those of the delivery and others of their persons.
    f"""
    CREATE TEMPORARY TABLE came ON COMMIT DROP AS
    WITH person AS (
        SELECT DISTINCT p.key FROM own_person p JOIN own_visit o USING (position) WHERE o.ma_doituong_kcb = '1.5'
    )
    SELECT DISTINCT s.version, s.started, {_RECEIVED} AS received
    FROM person p JOIN visit_person q USING (key) JOIN visit s ON s.version = q.version AND s.facility = {{facility}}
    JOIN claim_version v ON v.id = s.version, {_FIRST}
    WHERE s.ma_doituong_kcb = '1.5' AND {_STANDS}
    UNION ALL
    SELECT -1 - o.position, o.started, r.received
    FROM own_visit o JOIN own_order r USING (position) WHERE o.ma_doituong_kcb = '1.5'
    """,
    # All numbers of these persons, and every slip of this facility that one of them got.
    """
    CREATE TEMPORARY TABLE came_person ON COMMIT DROP AS
    SELECT c.version, q.key FROM came c JOIN visit_person q USING (version)
    WHERE (SELECT count(*) FROM (SELECT FROM visit_person p WHERE p.key = q.key LIMIT {no_person} + 1) those)
          <= {no_person}
    UNION
    SELECT c.version, q.key FROM came c JOIN own_person q ON q.position = -1 - c.version
    """,
    f"""
    CREATE TEMPORARY TABLE slip ON COMMIT DROP AS
    WITH person AS (SELECT DISTINCT key FROM came_person)
    SELECT DISTINCT p.key, s.version, s.ended, s.appointed, {_RECEIVED} AS received
    FROM person p JOIN visit_person q USING (key) JOIN visit s ON s.version = q.version AND s.facility = {{facility}}
    JOIN claim_version v ON v.id = s.version, {_FIRST}
    WHERE s.appointed IS NOT NULL AND {_STANDS}
    UNION ALL
    SELECT DISTINCT p.key, -1 - o.position, o.ended, o.appointed, r.received
    FROM person p JOIN own_person q USING (key) JOIN own_visit o USING (position) JOIN own_order r USING (position)
    WHERE o.appointed IS NOT NULL AND o.stands
    """,
    "CREATE INDEX ON slip (key); CREATE INDEX ON came_person (version); ANALYZE came, came_person, slip",
    f"""
    CREATE TEMPORARY TABLE came_on ON COMMIT DROP AS
    SELECT u.version, u.received, u.started, best.version AS slip, best.appointed
    FROM came u LEFT JOIN LATERAL (
        SELECT t.version, t.appointed FROM came_person w JOIN slip t ON t.key = w.key
        WHERE w.version = u.version AND t.version <> u.version AND t.ended <= u.started
        ORDER BY abs(t.appointed - {_DAY_OF.format("u.started")}), t.received DESC LIMIT 1
    ) best ON true
    """,
)

_FRAMES: dict[str, tuple[str, tuple[str, ...]]] = {
    ORDER: (
        "SELECT position::text, received::text, CASE WHEN stands THEN '' ELSE '1' END "
        "FROM own_order JOIN own_visit USING (position) ORDER BY position",
        ("claim", "received", "replaced"),
    ),
    VISITS: (
        f"""
        SELECT s.version::text, ({_RECEIVED})::text, s.facility, v.ma_lk, {_TIME.format("s.started")},
               {_TIME.format("s.admitted")}, {_TIME.format("s.ended")}, s.ma_loai_kcb, s.ma_doituong_kcb,
               s.ma_benh_chinh, c.in_scope::text, c.full_price::text
        FROM near n JOIN visit s USING (version) LEFT JOIN visit_cost c USING (version)
        JOIN claim_version v ON v.id = s.version, {_FIRST} ORDER BY s.version
        """,
        ("id", "received", *VISIT_TEXTS, *COSTS),
    ),
    PERSONS: (
        "SELECT DISTINCT q.version::text, q.key FROM near n JOIN visit_person q USING (version) "
        "WHERE q.key IN (SELECT key FROM own_person) ORDER BY 1, 2",
        ("id", "key"),
    ),
    LINES: (
        f"""
        SELECT l.version::text, l.xml_table, l.code, {_TIME.format("l.ngay_yl")}, ''
        FROM near n JOIN visit s USING (version) JOIN claim_line l USING (version)
        WHERE s.facility = {{facility}} ORDER BY l.version, l.xml_table, l.row
        """,
        ("id", *LINE_TEXTS),
    ),
    DEVICES: (
        f"""
        SELECT DISTINCT o.position::text, o.ma_vat_tu, o.ma_hieu_sp
        FROM own_device o JOIN own_order r USING (position) JOIN own_code USING (ma_vat_tu, ma_hieu_sp)
        JOIN visit_device e USING (ma_vat_tu, ma_hieu_sp)
        JOIN visit s ON s.version = e.version JOIN claim_version v ON v.id = s.version, {_FIRST}
        WHERE visits <= {{no_device}} AND {_RECEIVED} < r.received AND s.ma_doituong_kcb <> ALL({{recalled}})
          AND {_STANDS} ORDER BY 1, 2, 3
        """,
        ("claim", "MA_VAT_TU", "MA_HIEU_SP"),
    ),
    DEVICE_VISITS: (
        "SELECT ma_vat_tu, ma_hieu_sp, visits::text FROM own_code WHERE visits > 0 ORDER BY 1, 2",
        ("MA_VAT_TU", "MA_HIEU_SP", "visits"),
    ),
    "beds": (
        f"""
        SELECT DISTINCT s.facility, b.ma_khoa, b.ma_giuong, {_TIME.format("b.started")}, {_TIME.format("b.ended")},
               b.person
        FROM own_bed o JOIN visit_bed b ON b.facility = {{facility}} AND b.ma_khoa = o.ma_khoa
             AND b.ma_giuong = o.ma_giuong AND b.started < o.ended AND b.ended > o.started
        JOIN visit s ON s.version = b.version JOIN claim_version v ON v.id = s.version
        WHERE {_STANDS} ORDER BY 1, 2, 3, 4, 5, 6
        """,
        ("MA_CSKCB", "MA_KHOA", "MA_GIUONG", "start", "end", "person"),
    ),
    # Of each way in which a number was used otherwise one claim is enough, with all its numbers.
    "holders": (
        f"""
        SELECT DISTINCT facility, ma_lk, numbers, citizen, holder, day FROM (
            SELECT DISTINCT ON (p.position, p.key, s.numbers, s.citizen, s.holder)
                   s.facility, v.ma_lk, s.numbers, s.citizen, s.holder,
                   to_char({_DAY_OF.format("s.started")}, 'YYYYMMDD') AS day
            FROM own_person p JOIN own_visit o USING (position) JOIN visit_person q ON q.key = p.key
            JOIN visit s ON s.version = q.version JOIN claim_version v ON v.id = s.version
            WHERE s.numbers <> '' AND (s.numbers, s.citizen, s.holder) IS DISTINCT FROM (o.numbers, o.citizen, o.holder)
              AND s.started BETWEEN o.started - make_interval(months => {{months}}, days => 1)
                                AND o.started + make_interval(months => {{months}}, days => 1)
              AND {_STANDS}
            ORDER BY p.position, p.key, s.numbers, s.citizen, s.holder,
                     abs(extract(epoch FROM s.started - o.started)), s.version
        ) other ORDER BY 1, 2, 3, 4, 5, 6
        """,
        ("MA_CSKCB", "MA_LK", "number", "citizen", "name", "day"),
    ),
    "deaths": (
        f"""
        SELECT DISTINCT s.facility, v.ma_lk, q.key, {_TIME.format("s.ended")}
        FROM (SELECT DISTINCT key FROM own_person WHERE length(key) = 10) p JOIN visit_person q USING (key)
        JOIN visit s ON s.version = q.version AND s.ket_qua_dtri = ANY({{died}})
        JOIN claim_version v ON v.id = s.version
        WHERE s.ended IS NOT NULL AND {_STANDS} ORDER BY 1, 2, 3, 4
        """,
        ("MA_CSKCB", "MA_LK", "number", "died"),
    ),
    # That none fits is known only where the store holds a year of the facility's claims.
    "appointments": (
        """
        SELECT o.position::text, coalesce(to_char(c.appointed, 'YYYYMMDD'), ''),
               CASE WHEN EXISTS (SELECT FROM came_on u LEFT JOIN own_visit m ON m.position = -1 - u.version
                                 WHERE u.slip = c.slip AND u.version <> c.version AND u.received < c.received
                                   AND m.stands IS NOT FALSE AND m.ma_lk IS DISTINCT FROM o.ma_lk) THEN '1' ELSE '' END
        FROM own_visit o JOIN came_on c ON c.version = -1 - o.position
        WHERE c.slip IS NOT NULL
           OR EXISTS (SELECT FROM visit WHERE facility = {facility} AND ended <= o.started - interval '1 year')
           OR EXISTS (SELECT FROM own_visit WHERE ended <= o.started - interval '1 year')
        ORDER BY o.position
        """,
        ("claim", "appointed", "used"),
    ),
    # Paid for at the sending facility and no slip: known only of a claim that ended just before. Without such a claim
    # in the store nothing is known.
    "transfers": (
        f"""
        WITH sent AS (
            SELECT o.position, s.ended, s.referred
            FROM own_visit o JOIN own_person p USING (position) JOIN visit_person q ON q.key = p.key
            JOIN visit s ON s.version = q.version AND s.facility = o.ma_noi_di
            JOIN claim_version v ON v.id = s.version
            WHERE o.ma_doituong_kcb = '1.3' AND {_STANDS}
            UNION ALL
            SELECT o.position, m.ended, m.referred
            FROM own_visit o JOIN own_person p USING (position) JOIN own_person q ON q.key = p.key
            JOIN own_visit m ON m.position = q.position AND m.stands AND m.ma_lk IS DISTINCT FROM o.ma_lk
            WHERE o.ma_doituong_kcb = '1.3' AND o.ma_noi_di = {{facility}}
        )
        SELECT position::text, coalesce(to_char(issued, 'YYYYMMDD'), '') FROM (
            SELECT o.position, max({_DAY_OF.format("s.ended")}) FILTER (WHERE s.referred) AS issued,
                   bool_or(s.ended >= o.started - make_interval(days => {{slip_days}})) AS just_before
            FROM own_visit o JOIN sent s USING (position)
            WHERE {_DAY_OF.format("s.ended")} <= {_DAY_OF.format("o.started")}
              AND s.ended > o.started - interval '1 year'
            GROUP BY o.position
        ) told WHERE issued IS NOT NULL OR just_before ORDER BY position
        """,
        ("claim", "issued"),
    ),
    "recalled": (
        """
        SELECT DISTINCT ON (o.position) o.position::text, (100 * out.approved)::bigint::text
        FROM own_visit o JOIN own_person p USING (position) JOIN visit_person q ON q.key = p.key
        JOIN visit s ON s.version = q.version AND s.facility = {facility}
             AND s.started = o.started AND s.ended = o.ended AND s.ma_doituong_kcb <> '8'
        JOIN claim_version v ON v.id = s.version AND v.delivery < {delivery} AND NOT v.duplicate
        JOIN claim_outcome out ON out.version = v.id AND out.appraisal = v.appraisal
        WHERE o.ma_doituong_kcb = '8' AND out.outcome IN ('accepted', 'adjusted')
          AND NOT EXISTS (SELECT FROM claim_version w WHERE w.claim = v.claim AND NOT w.duplicate
                          AND w.delivery > v.delivery AND w.delivery < {delivery})
        ORDER BY o.position, v.delivery DESC, v.position DESC
        """,
        ("claim", "approved"),
    ),
}
"""Name of each frame -> query and columns."""


# Versions that this delivery brought and those of the same claims that it takes the place of (or that take its place).
_CHANGED = f"""
CREATE TEMPORARY TABLE changed ON COMMIT DROP AS
WITH mine AS (
    SELECT id, claim FROM claim_version WHERE delivery = {{delivery}} AND NOT duplicate
), these AS (
    SELECT id FROM mine
    UNION
    SELECT v.id FROM mine JOIN claim_version v ON v.claim = mine.claim AND NOT v.duplicate
)
SELECT s.*, v.claim, {_RECEIVED} AS received
FROM these JOIN claim_version v USING (id) JOIN visit s ON s.version = v.id, {_FIRST};

CREATE TEMPORARY TABLE changed_person ON COMMIT DROP AS
SELECT DISTINCT p.key, p.version FROM changed c JOIN visit_person p USING (version)
WHERE (SELECT count(*) FROM (SELECT FROM visit_person q WHERE q.key = p.key LIMIT {{no_person}} + 1) those)
      <= {{no_person}};

-- the codes of their devices and of all of this delivery: how many visits of it bear each, and of others
CREATE TEMPORARY TABLE changed_code ON COMMIT DROP AS
SELECT c.ma_vat_tu, c.ma_hieu_sp, c.own, {_BORNE_ELSEWHERE} AS elsewhere
FROM (
    SELECT e.ma_vat_tu, e.ma_hieu_sp, count(*) FILTER (WHERE w.delivery = {{delivery}}) AS own
    FROM (SELECT version FROM changed UNION SELECT id FROM claim_version WHERE delivery = {{delivery}}) these
    JOIN visit_device e USING (version) JOIN claim_version w ON w.id = e.version GROUP BY 1, 2
) c;
"""


def _seen(row: str) -> str:
    """Whether the snapshot shows a row already; null without a snapshot."""
    return f"pg_visible_in_snapshot({row}.recorded_in::text::xid8, {{snapshot}}::pg_snapshot)"


def _unseen(delivery: str) -> str:
    """Whether an appraisal of a delivery is not shown by the snapshot yet."""
    return f"""
    ({{snapshot}}::text IS NULL
     OR (SELECT coalesce(bool_or(NOT {_seen("a")}), false) FROM appraisal a WHERE a.delivery = {delivery}))
    """


_AFFECTED = f"""
WITH pair AS (
    SELECT c.version AS mine, s.version AS other, 'person' AS because
    FROM changed_person p JOIN changed c USING (version) JOIN visit_person q ON q.key = p.key
    JOIN visit s ON s.version = q.version
    WHERE (
        s.started <= c.ended + make_interval(days => {{near}})
        AND s.ended >= c.started - make_interval(days => {{near}})
    ) OR (
        s.numbers <> '' AND c.numbers <> ''
        AND (s.numbers, s.citizen, s.holder) IS DISTINCT FROM (c.numbers, c.citizen, c.holder)
        AND s.started BETWEEN c.started - make_interval(months => {{months}}, days => 1)
                          AND c.started + make_interval(months => {{months}}, days => 1)
    ) OR (
        c.ket_qua_dtri = ANY({{died}}) AND greatest(s.started, s.ended) > c.ended
    ) OR (
        s.ma_doituong_kcb = '1.5' AND s.facility = {{facility}}
        AND (c.ma_doituong_kcb = '1.5' OR (c.appointed IS NOT NULL AND s.started >= c.ended))
    ) OR (
        s.ma_doituong_kcb = '1.3' AND s.ma_noi_di = {{facility}} AND s.started >= c.ended - interval '1 day'
        AND s.started < c.ended + interval '1 year'
    )
    UNION
    SELECT c.version, d.version, 'device'
    FROM changed c JOIN visit_device e USING (version) JOIN changed_code k USING (ma_vat_tu, ma_hieu_sp)
    JOIN visit_device d USING (ma_vat_tu, ma_hieu_sp)
    WHERE k.own + k.elsewhere <= {{no_device}}
    UNION  -- others that this one would look at, had it seen them, and that do not look at it
    SELECT c.version, s.version, 'unseen'
    FROM changed_person p JOIN changed c USING (version) JOIN visit_person q ON q.key = p.key
    JOIN visit s ON s.version = q.version AND ({{snapshot}}::text IS NULL OR NOT {_seen("s")})
    WHERE (s.ket_qua_dtri = ANY({{died}}) AND greatest(c.started, c.ended) > s.ended)
       OR (c.ma_doituong_kcb = '1.5' AND s.facility = {{facility}} AND s.appointed IS NOT NULL AND s.ended <= c.started)
       OR (c.ma_doituong_kcb = '1.3' AND c.ma_noi_di = s.facility AND c.started >= s.ended - interval '1 day'
           AND c.started < s.ended + interval '1 year')
    UNION
    SELECT c.version, b.version, 'bed'
    FROM changed c JOIN visit_bed a USING (version) JOIN visit_bed b ON b.facility = a.facility
         AND b.ma_khoa = a.ma_khoa AND b.ma_giuong = a.ma_giuong AND b.started < a.ended AND b.ended > a.started
         AND b.person <> a.person
), came AS (
    SELECT DISTINCT p.mine, p.other
    FROM pair p JOIN changed c ON c.version = p.mine AND c.appointed IS NOT NULL AND p.because = 'person'
    JOIN visit s ON s.version = p.other AND s.ma_doituong_kcb = '1.5' AND s.facility = {{facility}}
), met AS (
    SELECT p.mine, v.delivery, p.because, c.received < {_RECEIVED} AS later,
           -- what is kept of the other came later than the snapshot: with an appraisal, or filled in without one
           NOT {_seen("s")} OR (SELECT NOT {_seen("k")} FROM visit_cost k WHERE k.version = s.version)
           OR {_unseen("v.delivery")} AS unseen,
           c.ma_loai_kcb = ANY({{inpatient}}) OR s.ma_loai_kcb = ANY({{inpatient}}) OR c.ket_qua_dtri = ANY({{died}})
           OR (s.numbers, s.citizen, s.holder) IS DISTINCT FROM (c.numbers, c.citizen, c.holder)
           OR s.ma_doituong_kcb IN ('1.3', '1.5', '8')
           OR (s.facility = {{facility}} AND s.ma_loai_kcb = ANY({{outpatient}}) AND c.ma_loai_kcb = ANY({{outpatient}})
               AND {_DAY_OF.format("s.started")} = {_DAY_OF.format("c.started")}) AS looks_ahead
    FROM (
        SELECT mine, other, because FROM pair
        UNION  -- whoever came on a slip, beside others of their persons who came on one
        SELECT c.mine, q.version, 'person'
        FROM came c JOIN visit_person p ON p.version = c.other JOIN visit_person q USING (key)
        JOIN visit s ON s.version = q.version AND s.ma_doituong_kcb = '1.5' AND s.facility = {{facility}}
        WHERE (SELECT count(*) FROM (SELECT FROM visit_person n WHERE n.key = p.key LIMIT {{no_person}} + 1) those)
              <= {{no_person}}
    ) p JOIN claim_version v ON v.id = p.other AND v.newest AND v.delivery <> {{delivery}}
    JOIN visit s ON s.version = p.other JOIN changed c ON c.version = p.mine AND c.claim <> v.claim, {_FIRST}
), same AS (  -- other versions of its claims
    SELECT v.delivery, v.newest, {_unseen("v.delivery")} AS unseen
    FROM claim_version mine JOIN claim_version v ON v.claim = mine.claim AND v.delivery <> {{delivery}}
    WHERE mine.delivery = {{delivery}} AND NOT mine.duplicate AND NOT v.duplicate
), year AS (  -- from when a year of the facility's claims is known: with this delivery, and before it
    SELECT * FROM (
        SELECT (SELECT min(c.ended) FROM changed c) + interval '1 year' AS now,
               (SELECT s.ended FROM visit s JOIN claim_version v ON v.id = s.version
                WHERE s.facility = {{facility}} AND s.ended IS NOT NULL AND v.delivery <> {{delivery}}
                ORDER BY s.ended LIMIT 1) + interval '1 year' AS before
    ) known WHERE known.now < known.before
)
INSERT INTO affected_delivery (delivery, because)
SELECT met.delivery, {{delivery}} FROM met
WHERE (later AND because <> 'unseen') OR (looks_ahead AND because IN ('person', 'bed'))
UNION  -- what looked like a device turns out to be a model
SELECT v.delivery, {{delivery}} FROM changed_code k JOIN visit_device d USING (ma_vat_tu, ma_hieu_sp)
JOIN claim_version v ON v.id = d.version AND v.newest AND v.delivery <> {{delivery}}
WHERE k.elsewhere <= {{no_device}} AND k.own + k.elsewhere > {{no_device}}
UNION  -- and looked so to this one, which did not see all
SELECT {{delivery}}, {{delivery}} FROM changed_code k
WHERE k.own > 0 AND k.own + k.elsewhere > {{no_device}} AND k.own + (
    SELECT count(*) FROM (
        SELECT FROM visit_device d JOIN visit s USING (version)
        JOIN claim_version v ON v.id = d.version AND v.delivery <> {{delivery}}
        WHERE d.ma_vat_tu = k.ma_vat_tu AND d.ma_hieu_sp = k.ma_hieu_sp AND {_seen("s")} LIMIT {{no_device}} + 1) those
) <= {{no_device}}
UNION
SELECT same.delivery, {{delivery}} FROM same WHERE newest
UNION  -- it came before what was recorded before it, whose place in the order of receipt it did not know
SELECT {{delivery}}, {{delivery}} FROM same WHERE same.delivery > {{delivery}}
UNION
SELECT v.delivery, {{delivery}} FROM year JOIN visit s ON s.facility = {{facility}} AND s.ma_doituong_kcb = '1.5'
     AND s.ended >= year.now AND s.started >= year.now AND s.started < year.before
JOIN claim_version v ON v.id = s.version AND v.newest AND v.delivery <> {{delivery}}
UNION
SELECT {{delivery}}, {{delivery}} FROM met JOIN claim_version v ON v.id = met.mine AND v.delivery = {{delivery}}
WHERE met.unseen
UNION
SELECT {{delivery}}, {{delivery}} FROM same WHERE same.unseen
UNION  -- it did not see that a year of the facility's claims is known
SELECT {{delivery}}, {{delivery}} FROM changed c JOIN claim_version v ON v.id = c.version AND v.delivery = {{delivery}}
WHERE c.ma_doituong_kcb = '1.5'
  AND c.started - interval '1 year' >= (
      SELECT s.ended FROM visit s WHERE s.facility = {{facility}} AND s.ended IS NOT NULL
      AND (SELECT w.delivery FROM claim_version w WHERE w.id = s.version) <> {{delivery}} ORDER BY s.ended LIMIT 1)
  AND (c.started - interval '1 year' >= (
      SELECT s.ended FROM visit s WHERE s.facility = {{facility}} AND s.ended IS NOT NULL AND {_seen("s")}
      ORDER BY s.ended LIMIT 1)) IS NOT TRUE
ORDER BY 1
ON CONFLICT (delivery) DO UPDATE SET because = excluded.because, at = clock_timestamp()
"""

_RECALLS = """
INSERT INTO affected_delivery (delivery, because)
SELECT DISTINCT w.delivery, {delivery}
FROM claim_version v JOIN visit c ON c.version = v.id JOIN visit_person p ON p.version = v.id
JOIN visit_person q ON q.key = p.key JOIN visit s ON s.version = q.version AND s.facility = c.facility
     AND s.started = c.started AND s.ended = c.ended AND s.ma_doituong_kcb = '8'
JOIN claim_version w ON w.id = s.version AND w.newest AND w.delivery > {delivery}
WHERE v.delivery = {delivery} AND v.position = ANY({positions}) AND c.ma_doituong_kcb <> '8'
  AND (SELECT count(*) FROM (SELECT FROM visit_person n WHERE n.key = p.key LIMIT {no_person} + 1) those) <= {no_person}
ORDER BY 1
ON CONFLICT (delivery) DO UPDATE SET because = excluded.because, at = clock_timestamp()
"""
