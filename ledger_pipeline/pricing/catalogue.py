"""The embedded catalogue, loaded when the database is migrated, so that an import has prices from the start."""

from datetime import datetime
from typing import Any

from psycopg import Connection

from ledger_pipeline.pricing.sources.genai import GenaiPrices
from ledger_pipeline.pricing.sync import SourceStatus, book_catalogue, is_booked


def load_embedded(conn: Connection[dict[str, Any]], now: datetime) -> SourceStatus:
    """Books the embedded catalogue as known from `now`; loading the same one again adds nothing at all.

    An earlier knowledge is not claimed: asked with a `known_at` before the first load, the ledger knows no price.
    """
    catalogue = GenaiPrices().read(now)
    if is_booked(conn, catalogue):
        return SourceStatus(catalogue.source, "unchanged", catalogue.version, len(catalogue.prices))
    return book_catalogue(conn, catalogue, rank=0, now=now)
