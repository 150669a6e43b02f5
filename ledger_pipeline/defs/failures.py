"""Which failures of an asset are worth another try."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
import psycopg

from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.errors import ServerUnavailable

TRANSIENT = (ServerUnavailable, Held, psycopg.OperationalError)
"""What goes away by itself: a server that restarts, a connection that broke, a lock that somebody holds."""

RETRIES = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""Three more tries after about 5, 15 and 35 seconds; each continues what the last one left."""


@contextmanager
def only_transient_retried() -> Generator[None]:
    """Fails an asset for good on what would come again; what is transient follows the asset's retry policy."""
    try:
        yield
    except TRANSIENT:
        raise
    except Exception as error:
        raise dg.Failure(str(error) or type(error).__name__, allow_retries=False) from error
