"""The log of a run for whoever runs it in his own process: as plain lines, the moment that something happens."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg

NAME = "lines"
_LOGGER = logging.getLogger("ledger_pipeline.run")
_LOGGER.propagate = False


lines = dg.LoggerDefinition(
    logger_fn=lambda _: _LOGGER, description="Hands every record to the function that `listening` was given."
)


class _Teller(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        line = _line(getattr(record, "dagster_meta", None))
        if line is not None:
            self._tell(line)


def _line(meta: dict[str, Any] | None) -> str | None:
    """What to tell of a record; None for what only concerns Dagster, and for checks that pass."""
    if meta is None or meta["step_key"] is None:
        return None
    told = _told(meta["orig_message"], meta["dagster_event"])
    return None if told is None else f"{meta['step_key']}: {told}"


def _told(message: str, event: dg.DagsterEvent | None) -> str | None:
    match event.event_type if event else None:
        case None:
            return message
        case dg.DagsterEventType.STEP_START:
            return "started"
        case dg.DagsterEventType.STEP_SUCCESS:
            assert event is not None
            return f"done in {event.step_success_data.duration_ms / 1000:.1f} s"
        case dg.DagsterEventType.STEP_UP_FOR_RETRY:
            return "failed, will be tried again"
        case dg.DagsterEventType.STEP_FAILURE:
            assert event is not None
            error = event.step_failure_data.error
            return f"failed: {error.message.strip() if error else message}"
        case dg.DagsterEventType.STEP_SKIPPED:
            return "skipped"
        case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            assert event is not None
            return None if event.asset_check_evaluation_data.passed else message
        case _:
            return None


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
