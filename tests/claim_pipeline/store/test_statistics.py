"""Statistics in a real PostgreSQL: claims that stand count once, months add up, warnings are kept."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from claim_pipeline import statistics
from claim_pipeline.errors import OperatorError
from claim_pipeline.statistics import extract
from claim_rules.statistics import cells, indicators


@pytest.fixture
def recorded(store, make_workspace, receive):
    """Records a delivery of these claims; gives its number and working folder."""

    def record(claims, **more):
        ws = make_workspace(claims, **more)
        number = receive(store, ws).delivery_id
        store.record(number, ws, "test")
        return number, ws

    return record


def update(store, folders):
    """As the pipeline does, from folders that are at hand."""
    done = store.unprofiled(extract.VERSION)
    for number in done:
        statistics.profile(store, number, folders[number])
    return done


def counted(store, measure, month="202507"):
    profile = store.profile("27001", month)
    return profile[profile["measure"] == measure].set_index("key")["n"].to_dict()


def test_a_replaced_claim_counts_once_whichever_delivery_came_first_into_the_database(store, recorded):
    first = recorded([{"ma_lk": "A", "amounts": [(1000, 0), (2000, 0)]}, {"ma_lk": "B"}], name="a.xml")
    folders = dict([first])
    assert update(store, folders) == [first[0]]
    assert counted(store, "visits") == {"": 2}
    assert counted(store, "rows") == {"XML1": 2, "XML2": 3}
    assert update(store, folders) == []

    second = recorded(
        [{"ma_lk": "A", "amounts": [(5000, 0)]}, {"ma_lk": "C"}, {"ma_lk": "C"}, {"unreadable": True}], name="b.xml"
    )
    folders |= dict([second])
    assert update(store, folders) == [first[0], second[0]]
    assert counted(store, "visits") == {"": 3}  # A as sent last, B, C once; not the unreadable one
    assert counted(store, "rows") == {"XML1": 3, "XML2": 3}
    standing = [extract.by_month(ws, set(store.standing(number)))["202507"] for number, ws in folders.items()]
    pd.testing.assert_frame_equal(
        store.profile("27001", "202507").sort_values(cells.KEYS, ignore_index=True),
        cells.merge(standing).sort_values(cells.KEYS, ignore_index=True),
    )


def test_work_that_was_killed_between_two_deliveries_is_taken_up_again(store, recorded):
    first = recorded([{"ma_lk": "A"}, {"ma_lk": "B"}], name="a.xml")
    update(store, dict([first]))
    second = recorded([{"ma_lk": "A"}], name="b.xml", salt="2")
    todo = store.unprofiled(extract.VERSION)
    assert todo == [first[0], second[0]]
    statistics.profile(store, todo[0], first[1])  # killed here
    assert store.unprofiled(extract.VERSION) == todo
    update(store, dict([first, second]))
    assert counted(store, "visits") == {"": 2}


def test_a_claim_that_moves_to_another_month_leaves_the_first(store, recorded):
    first = recorded([{"ma_lk": "A"}], name="a.xml")
    second = recorded([{"ma_lk": "A", "ngay_ra": "202508020930"}], name="b.xml")
    folders = dict([first, second])
    update(store, folders)
    assert counted(store, "visits", "202507") == {}
    assert counted(store, "visits", "202508") == {"": 1}
    store.save_profile(second[0], extract.VERSION, {})
    assert counted(store, "visits", "202508") == {}
    assert [(one["month"], one["visits"]) for one in store.months("27001")] == [("202508", 0)]


def visits(n, mean, seed):
    """Cells of so many visits of kind 01 with costs about a mean (đồng)."""
    costs = np.rint(np.random.default_rng(seed).gamma(4, mean / 4, n)).astype("int64") * 100
    rows = pd.DataFrame({"measure": "cost", "key": "01", "bucket": cells.buckets(costs), "n": 1, "total": costs})
    seen = pd.DataFrame({"measure": ["visits"], "key": ["01"], "bucket": [0], "n": [n], "total": [0]})
    return cells.merge([rows, seen])


def test_warnings_of_a_month_are_judged_and_kept_and_go_when_their_cause_goes(store, recorded):
    number, _ = recorded([{"ma_lk": "A"}])
    calm = {f"20260{month}": visits(900, 300_000, month) for month in range(2, 7)}
    store.save_profile(number, extract.VERSION, calm | {"202607": visits(900, 480_000, 7)})
    assert ("27001", "202607") in store.unjudged()
    judged = statistics.judge(store, store.unjudged(), {})
    assert store.unjudged() == []
    assert [(one.month, len(one.drifts)) for one in judged if one.drifts] == [("202607", 1)]
    kept = store.drifts("27001", "202607")
    assert [(row["rule"], row["indicator"], row["key"], row["against"]) for row in kept] == [
        ("STAT-001", "cost", "01", "past")
    ]
    assert kept[0]["grade"] == "very_high"
    assert "T_BHTT" in kept[0]["message_vi"]
    assert [row["warnings"] for row in store.months() if row["month"] == "202607"] == [1]
    statistics.judge(store, [("27001", "202607")], {})
    assert store.drifts("27001") == kept

    store.save_profile(number, extract.VERSION, calm | {"202607": visits(900, 301_000, 7)})
    statistics.judge(store, store.unjudged(), {})
    assert store.drifts() == []


def test_page_workbook_and_document_tell_the_same_and_load_nothing(store, recorded):
    number, _ = recorded([{"ma_lk": "A"}])
    item = "XML2 40.1 VD-1"
    more = {
        "measure": ["price", "spent", "rows", "blank"], "key": [item, item, "XML1", "XML1.SO_CCCD"], "bucket": 0,
        "n": [3, 3, 700, 70], "total": [14_550_375, 4_000_000, 0, 0],
    }  # fmt: skip
    calm = {f"20260{month}": visits(700, 300_000, month) for month in range(2, 7)}
    july = cells.merge([visits(700, 480_000, 7), pd.DataFrame(more)])
    store.save_profile(number, extract.VERSION, calm | {"202607": july})
    register = {"MA_CSKCB": ["27001"], "TEN_CSKCB": ["Bệnh viện <b>A</b>"], "CAP_CMKT": ["basic"]}
    files = statistics.documents(store, "27001", "202607", {"facilities": pd.DataFrame(register, dtype="str")}).content
    page, document = files["statistics-27001-202607.html"].decode(), json.loads(files["statistics-27001-202607.json"])
    assert document["schema"] == "giamdinh.statistics/1"
    [found] = document["findings"]
    assert (found["rule"], found["severity"], found["grade"]) == ("STAT-001", "warn", "very_high")
    assert [one["month"] for one in found["past"]] == sorted(calm)
    assert found["message_vi"] in page
    assert found["message_en"] in page
    assert page.count("<svg ") == 2  # one in each language
    assert "&lt;b&gt;A" in page
    assert not re.search(r"(src|href)=.(https?:)?//|@import|<b>A", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) > 10
    assert len(set(ids)) == len(ids)
    [told] = document["profile"]["items"]
    assert told["price"] == dict.fromkeys(("p10", "p50", "p90"), "4850.125")
    assert [(one["field"], one["rate"], one["before"]) for one in document["profile"]["fields"]] == [
        ("XML1.SO_CCCD", 0.1, None)
    ]
    reasons = {(one["against"], one["reason"]) for one in document["not_judged"]}
    assert ("peers", "few-peers") in reasons
    book = CalamineWorkbook.from_filelike(io.BytesIO(files["statistics-27001-202607.xlsx"]))
    assert book.get_sheet_by_name("Cảnh báo").to_python()[1][0] == "STAT-001"
    assert book.get_sheet_by_name("Mã").to_python()[1][1] == "40.1 VD-1"
    assert statistics.documents(store, "27001", "202607", {}, ("xlsx",)).content  # without any reference data
    with pytest.raises(OperatorError, match="no statistics"):
        statistics.documents(store, "27001", "202512", {})


def test_a_rule_that_is_not_in_force_yet_says_nothing(store, recorded):
    number, _ = recorded([{"ma_lk": "A"}])
    months = {f"2025{month:02d}": visits(900, 300_000, month) for month in range(6, 11)}
    store.save_profile(number, extract.VERSION, months | {"202511": visits(900, 480_000, 11)})
    assert statistics.judge(store, [("27001", "202511")], {})[0].drifts == []  # STAT-001 holds from 10/02/2026


def test_the_sums_of_a_month_are_the_same_in_the_database_as_in_memory(store, recorded):
    number, _ = recorded([{"ma_lk": "A"}])
    profile = visits(500, 300_000, 1)
    store.save_profile(number, extract.VERSION, {"202607": profile})
    found = store.moments(["cost", "visits"], "202607", "202607").drop(columns=["facility", "month"])
    wanted = cells.moments(profile)
    pd.testing.assert_frame_equal(
        found.sort_values(["measure", "key"], ignore_index=True), wanted, check_exact=False, rtol=1e-12
    )
    assert indicators.month_before("202601", 1) == "202512"
