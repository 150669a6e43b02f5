"""Pages of templates: where the next one begins."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger_pipeline.errors import InvalidInput

DEFAULT_PAGE_SIZE = 50
MOST_ITEMS = 500


@dataclass(frozen=True)
class TemplatePage:
    """Some templates, the newest first; `next_cursor` asks for those behind them, None when there are none."""

    items: tuple[dict[str, Any], ...]
    next_cursor: str | None


def page_of(found: Sequence[Mapping[str, Any]], page_size: int) -> TemplatePage:
    """The page of rows found, one more than asked for when there is a next."""
    items = tuple(dict(row) for row in found[:page_size])
    if len(found) <= page_size:
        return TemplatePage(items, None)
    key = json.dumps([items[-1]["created_at"].isoformat(), str(items[-1]["id"])])
    return TemplatePage(items, base64.urlsafe_b64encode(key.encode()).decode())


def check_page_size(page_size: int) -> int:
    """The size; raises InvalidInput for one out of range."""
    if isinstance(page_size, bool) or not 1 <= page_size <= MOST_ITEMS:
        raise InvalidInput(f"page_size: must be a whole number from 1 to {MOST_ITEMS}, got {page_size!r}")
    return page_size


def after(cursor: str | None) -> tuple[datetime | None, UUID | None]:
    """The time and id behind which a page begins; raises InvalidInput for what is no cursor of a page of templates."""
    if cursor is None:
        return None, None
    try:
        time, template_id = json.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        instant, identity = datetime.fromisoformat(time), UUID(template_id)
    except (binascii.Error, ValueError, TypeError, AttributeError):
        raise InvalidInput("cursor: is not the next_cursor of a page of templates") from None
    if instant.tzinfo is None:
        raise InvalidInput("cursor: is not the next_cursor of a page of templates")
    return instant, identity
