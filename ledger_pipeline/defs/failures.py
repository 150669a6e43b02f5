"""Which failures of an asset are worth another try."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.errors import LedgerError, ServerUnavailable

TRANSIENT = (ServerUnavailable, Held)
"""Errors of the ledger that go away by themselves: a server that restarts, a lock that somebody holds."""

RETRIES = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""Three more tries after about 5, 15 and 35 seconds, for every asset: each continues what the last one left."""


@contextmanager
def only_transient_retried() -> Generator[None]:
    """Fails an asset for good on an error of the ledger's own that would come again; others follow the retry policy."""
    try:
        yield
    except TRANSIENT:
        raise
    except LedgerError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
