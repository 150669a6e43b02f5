"""A simulated history in a ledger of the module's own, and every page of an answer at once."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import DictRow
from pydantic import SecretStr

from ledger_pipeline.ledger import Ledger
from ledger_pipeline.pages import Page
from ledger_pipeline.settings import Settings

NOW = datetime(2026, 11, 20, tzinfo=UTC)
Statement = tuple[sql.Composable | str, Any]


def recording(sent: list[Statement]) -> type[psycopg.Cursor[DictRow]]:
    """A kind of cursor that notes every statement that it sends, with its parameters."""

    class Recording(psycopg.Cursor[DictRow]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            sent.append((query, params))
            return super().execute(query, params, **options)

        def stream(self, query: Any, params: Any = None, **options: Any) -> Any:
            sent.append((query, params))
            return super().stream(query, params, **options)

    return Recording


@pytest.fixture(scope="module")
def settings(module_ledger_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the module's ledger, with a home of its own; few days are hot, so that few weeks suffice."""
    return Settings(home=tmp_path_factory.mktemp("home"), database_url=SecretStr(module_ledger_url), hot_days=14)


@pytest.fixture(scope="module")
def ledger(settings: Settings) -> Iterator[Ledger]:
    """A ledger that holds 45 days of traffic, all hot, and marts of it."""
    with Ledger.open(settings) as opened:
        opened.simulate(90, 45, 7, NOW)
        opened.build_marts(NOW)
        yield opened


def all_pages(answer: Callable[..., Page[Any]], *arguments: object, page_size: int = 7, **filters: Any) -> list[Any]:
    """The items of every page, in order."""
    items: list[Any] = []
    cursor = None
    while True:
        page = answer(*arguments, cursor=cursor, page_size=page_size, **filters)
        items += page.items
        cursor = page.next_cursor
        if cursor is None:
            return items
        assert len(page.items) == page_size
