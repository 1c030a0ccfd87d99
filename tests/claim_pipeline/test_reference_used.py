"""What is read of large tables for a delivery makes the same of it as the whole tables."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from claim_pipeline import appraise, extract, reference, transform
from claim_pipeline.reference_used import ReferenceUsed
from claim_pipeline.store import open_store
from claim_pipeline.workspace import Delivery, Workspace
from claim_rules.reference import LOOKED_UP
from claim_simulator import simulate


def test_the_rows_read_for_a_delivery_make_the_same_of_it_as_the_whole_tables(tmp_path: Path, url: str) -> None:
    simulate(facilities=2, claims=80, month="202607", fault_rate=0.4, seed=11, out=tmp_path)
    store = open_store(url)
    folder = tmp_path / "reference"
    reference.load_folder(folder, store)
    # rows that come in between and rows that go: the order of the file is no longer that of the rows stored
    for name in ("cards", "services"):
        frame = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
        changed = pd.concat([frame.iloc[50:60], frame.iloc[:30].assign(TRANG_THAI="revoked"), frame.iloc[33:]])
        changed.to_csv(folder / f"{name}.csv", index=False)
    reference.load_folder(folder, store)
    loads = [load["load"] for load in store.reference_versions().values()]
    whole = store.reference(loads=loads)
    used = ReferenceUsed(store, loads)
    refused = 0
    for number, path in enumerate(sorted((tmp_path / "inbox").glob("*/*"))):
        ws = Workspace(tmp_path / "work" / str(number))
        ws.source.symlink_to(path)
        ws.delivery = Delivery(
            file=path.name, sha256="0" * 64, received_at="2026-08-01T08:00:00+07:00", inbox_facility=path.parent.name
        )
        extract.run(ws)
        transform.run(ws, whole)
        tables = ws.read_tables()
        appraise.run(ws, whole)
        by_whole = ws.report.read_bytes()
        part = used.of(tables)
        assert set(part) == set(whole)
        held = tables["XML1"]["MA_THE_BHYT"].str.split(";").explode()
        for name, column in LOOKED_UP.items():
            wanted = {
                "MA_THE_BHYT": [*held],
                "MA_CSKCB": [path.parent.name],
                "MA_LK": tables["XML1"]["MA_LK"].tolist(),
            }[column]
            mine = whole[name][whole[name][column].isin(wanted)].reset_index(drop=True)
            pd.testing.assert_frame_equal(part[name], mine)
        assert 0 < len(part["services"]) < len(whole["services"])
        assert 0 < len(part["cards"]) < len(whole["cards"])
        assert 0 < len(part["card_lookups"]) < len(whole["card_lookups"])
        appraise.run(ws, part)
        assert ws.report.read_bytes() == by_whole
        refused += json.loads(by_whole)["totals"]["rejected"]
    assert refused > 0
    # an earlier load too has its rows in the order of its file
    first = [load["load"] for load in store.reference_history("services")][-1]
    before = store.reference(loads=[first])["services"]
    mine = before[before["MA_CSKCB"] == path.parent.name].reset_index(drop=True)
    again = store.reference(loads=[first], only={"services": [path.parent.name]})["services"]
    pd.testing.assert_frame_equal(again, mine)
    store.close()
