"""The pages inside Airflow for officers and auditors.

Light at import, since Airflow loads its plugins in every process: the pages themselves are loaded when the first one
is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

URL_PREFIX = "/claims"


async def desk(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI application of the pages."""
    from claim_desk.pages import app

    await app(scope, receive, send)
