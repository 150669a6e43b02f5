"""The book of record for AI-agent workflows: every execution replayable, every cent explained, every event kept."""

from typing import TYPE_CHECKING, Any

from ledger_pipeline import events

if TYPE_CHECKING:
    from ledger_pipeline.ledger import Ledger

__all__ = ["Ledger", "events"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: `ledger-pipeline --help` shouldn't load a database driver.
    if name == "Ledger":
        from ledger_pipeline.ledger import Ledger

        return Ledger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
