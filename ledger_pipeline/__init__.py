"""The book of record for AI-agent workflows: every execution replayable, every cent explained, every event kept."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger_pipeline import events
    from ledger_pipeline.ledger import Ledger

__all__ = ["Ledger", "events"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: `ledger-pipeline --help` needs neither a database driver nor the catalogue.
    if name == "events":
        return import_module("ledger_pipeline.events")
    if name == "Ledger":
        return import_module("ledger_pipeline.ledger").Ledger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
