"""The ledger as a resource of assets and checks."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from ledger_pipeline.defs.failures import only_transient_retried
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.settings import Settings


class LedgerResource(dg.ConfigurableResource[None]):
    """Opens the ledger of this process's environment: its `LEDGER_…` variables are the only configuration."""

    @contextmanager
    def open(self) -> Generator[Ledger]:
        """The ledger, open for the block; each asset opens its own, so that a retry gets a new connection."""
        with only_transient_retried(), Ledger.open(Settings.read()) as ledger:
            yield ledger
