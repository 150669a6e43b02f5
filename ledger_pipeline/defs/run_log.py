"""The log of a run for whoever runs it in his own process: as plain lines, the moment that something happens."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg

NAME = "lines"
_LOGGER = logging.getLogger("ledger_pipeline.run")
_LOGGER.propagate = False

_TOLD = {
    "STEP_START": "started",
    "STEP_SUCCESS": "done",
    "STEP_FAILURE": "failed",
    "STEP_UP_FOR_RETRY": "failed, will be tried again",
    "STEP_SKIPPED": "skipped",
}


@dg.logger(description="Lines for the function that `listening` was given.")
def lines(init_context: dg.InitLoggerContext) -> logging.Logger:
    """A run's logger that hands every record to the listener of this process."""
    return _LOGGER


class _Teller(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        line = _line(getattr(record, "dagster_meta", None))
        if line is not None:
            self._tell(line)


def _line(meta: dict[str, Any] | None) -> str | None:
    """What to tell of a record; None for what only concerns Dagster."""
    if meta is None or meta["step_key"] is None:
        return None
    step, event = meta["step_key"], meta["dagster_event"]
    if event is None:
        return f"{step}: {meta['orig_message']}"
    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        return f"{step}: {meta['orig_message']}"
    told = _TOLD.get(event.event_type_value)
    return None if told is None else f"{step}: {told}"


@contextmanager
def listening(tell: Callable[[str], None]) -> Generator[dict[str, Any]]:
    """The run configuration that makes a run tell its progress; `tell` is called in the thread of the run."""
    handler = _Teller(tell)
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.DEBUG)
    try:
        yield {"loggers": {NAME: {"config": {}}}}
    finally:
        _LOGGER.removeHandler(handler)
