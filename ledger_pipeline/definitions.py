"""The Dagster code location: loads what `defs/` defines."""

from ledger_pipeline.defs.code_location import defs

__all__ = ["defs"]
