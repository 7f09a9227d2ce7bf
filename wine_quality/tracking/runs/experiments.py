"""The experiments of a store, for the clients of every version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def experiments(client: Any) -> Iterator[Any]:
    """All that are not deleted, page by page."""
    # 1.26 has only the one, MLflow 2 and 3 only the other.
    ask = getattr(client, "search_experiments", None) or client.list_experiments
    token = None
    while True:
        page = ask(page_token=token)
        yield from page
        token = page.token
        if not token:
            return
