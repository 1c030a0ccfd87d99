"""Statistics come by themselves after the answers, once, and never in their way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from claim_pipeline import statistics, steps
from claim_pipeline.settings import settings
from claim_simulator import simulate


@pytest.fixture
def place(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIAMDINH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIAMDINH_DATABASE_URL", url)
    monkeypatch.setenv("GIAMDINH_INBOX", str(tmp_path / "hospitals" / "inbox"))
    monkeypatch.setenv("GIAMDINH_SETTLE_SECONDS", "0")
    forget()
    simulate(facilities=2, claims=24, month="202607", fault_rate=0, seed=5, out=tmp_path / "hospitals")
    shutil.rmtree(tmp_path / "hospitals" / "inbox" / "27001")
    for more in sorted((tmp_path / "hospitals" / "inbox" / "27002").iterdir())[1:]:
        more.unlink()
    yield tmp_path
    forget()


def forget() -> None:
    settings.cache_clear()
    for cached in (steps._store, steps._archive, steps._reference):
        cached.cache_clear()


def test_statistics_come_after_the_answers_once_and_keep_none_back(place: Path, monkeypatch) -> None:
    def broken(*_: object) -> list[str]:
        raise RuntimeError("HO_TEN Nguyen Van A")

    with monkeypatch.context() as patched:
        patched.setattr(statistics, "profile", broken)
        counts = steps.run_all("test")
    assert counts["failed"] == 0
    assert counts["answered"] == counts["received"] > 0
    store = steps._store()
    assert store.months() == []
    assert {notice.kind for notice in store.notices()} >= {"statistics"}
    assert "Nguyen" not in repr(store.notices())

    # a working folder that is gone is made anew from the archive
    for folder in (place / "home" / "work").iterdir():
        for file in folder.iterdir() if folder.is_dir() else ():
            file.unlink()
    steps.run_all("test")
    [summary] = store.summary()
    months = [(one["facility"], one["month"], one["visits"]) for one in store.months()]
    assert months == [("27002", "202607", summary["claims"])]
    profile = store.profile("27002", "202607")  # from an export without amounts: they are those that were worked out
    cost = profile[profile["measure"] == "cost"]
    assert cost["total"].sum() / 100 == float(summary["requested"]) > 0
    assert steps.update_statistics() == {"profiled": 0, "judged": 0, "failed": 0}
