"""Points at which a test may have this process killed, to see that nothing is lost or doubled by it.

A point does nothing unless the environment variable GIAMDINH_TEST_KILL_AT names it (`point`, or `point#3` for the third
time it is passed); then the process is gone there as if the machine had been switched off: no clean-up, no commit.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "GIAMDINH_TEST_KILL_AT"

POINTS = (
    "receive:archived",  # bytes in the archive, nothing else
    "receive:row",  # the delivery's row is committed
    "receive:receipt",  # receipt.json lies in the outbox
    "receive:removing",  # all of it is on disk, the file moved aside in the inbox
    "receive:removed",  # the file has left the inbox
    *(
        f"{step}:{moment}"
        for step in ("extract", "transform", "validate", "appraise")
        for moment in ("begun", "written", "moved")  # counted; files written; the database told
    ),
    "record:begun",
    "record:written",  # everything written, not committed
    "record:committed",
    "respond:begun",
    "respond:reports",  # reports for people lie in the outbox, report.json not yet
    "respond:complete",  # the answer is complete, the database does not know
    "respond:answered",
    "repeat:copied",  # the first answer is copied, the database does not know
    "repeat:answered",
)
"""Every point there is, in the order in which a delivery passes them."""

_at, _, _time = os.environ.get(VARIABLE, "").partition("#")
_left = int(_time or 1)


def point(name: str) -> None:
    """Kills this process with SIGKILL if it is asked for here."""
    global _left
    if name != _at:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def arm(name: str | None) -> None:
    """What the environment variable says at start; for a forked child, to be killed elsewhere."""
    global _at, _left
    _at, _, time = (name or "").partition("#")
    _left = int(time or 1)
