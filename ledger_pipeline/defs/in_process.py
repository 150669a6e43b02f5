"""Runs the daily job in this process, as Dagster runs it, and tells how it goes."""

import fcntl
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.code_location import defs
from ledger_pipeline.defs.daily import JOB
from ledger_pipeline.defs.run_log import listening
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.settings import Settings

IN_PROCESS_TAG = "ledger/in_process"
ROW_COUNT = "dagster/row_count"
_INTERRUPTS = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}
_TELEMETRY = {"telemetry": {"enabled": False}}
_OVERRIDES = _TELEMETRY | {
    # What steps print goes where this process prints, not into files of the instance.
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
}


@dataclass(frozen=True)
class DailyRun:
    """A run whose assets were all made: its id in Dagster, their rows, and the checks that failed or only warn."""

    run_id: str
    seconds: float
    rows: dict[str, int]
    failed_checks: tuple[str, ...]
    warnings: tuple[str, ...]


class DailyRunFailed(RuntimeError):
    """The run failed on an error that is none of the ledger's own; the message is Dagster's account of it."""


def run_daily(now: datetime, progress: Callable[[str], None], dagster_home: Path | None = None) -> DailyRun:
    """Runs job `daily` with `now` as the present; in `dagster_home` the run is kept for the UI, else nowhere.

    Assets that don't depend on a failed one still run. Raises the first failure then: the LedgerError that it was, or
    DailyRunFailed; and KeyboardInterrupt when the run was interrupted.
    """
    began = time.monotonic()
    # Open throughout: the embedded server starts once, and a wrong setting is said before a run begins.
    with (
        Ledger.open(Settings.read()),
        _instance(dagster_home) as instance,
        listening(progress) as run_config,
        _signal_handlers_kept(),
    ):
        result = defs.resolve_job_def(JOB).execute_in_process(
            run_config=run_config,
            instance=instance,
            tags={NOW_TAG: now.isoformat(), IN_PROCESS_TAG: "true"},
            raise_on_error=False,
        )
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            raise _raised(event.step_failure_data.error)
    if not result.success:
        raise KeyboardInterrupt
    failed, warned = _unpassed(result, dg.AssetCheckSeverity.ERROR), _unpassed(result, dg.AssetCheckSeverity.WARN)
    return DailyRun(
        run_id=result.run_id,
        seconds=time.monotonic() - began,
        rows=dict(_rows(result)),
        failed_checks=failed,
        warnings=warned,
    )


def _unpassed(result: dg.ExecuteInProcessResult, severity: dg.AssetCheckSeverity) -> tuple[str, ...]:
    return tuple(
        f"{check.asset_key.to_user_string()}: {check.check_name}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is severity
    )


def _rows(result: dg.ExecuteInProcessResult) -> Iterator[tuple[str, int]]:
    for event in result.get_asset_materialization_events():
        rows = event.materialization.metadata.get(ROW_COUNT)
        if event.partition is None and rows is not None and isinstance(rows.value, int):
            yield event.materialization.asset_key.to_user_string(), rows.value


def _raised(error: SerializableErrorInfo) -> BaseException:
    """What was raised, as far as Dagster's record of it tells: it keeps class names and messages."""
    known = {cls.__name__: cls for cls in _with_subclasses(LedgerError)}
    link: SerializableErrorInfo | None = error
    while link is not None:
        if link.cls_name in _INTERRUPTS:
            return KeyboardInterrupt()
        if link.cls_name in known:
            return known[link.cls_name](link.message.partition(": ")[2].strip())
        link = link.cause
    return DailyRunFailed(error.to_string())


def _with_subclasses(cls: type[LedgerError]) -> Iterator[type[LedgerError]]:
    yield cls
    for subclass in cls.__subclasses__():
        yield from _with_subclasses(subclass)


@contextmanager
def _instance(home: Path | None) -> Generator[dg.DagsterInstance]:
    if home is None:
        with dg.DagsterInstance.ephemeral(settings=_TELEMETRY) as instance:
            yield instance
        return
    # `local_temp` is the public way to a persistent instance in a given folder with settings of one's own.
    with dg.DagsterInstance.local_temp(str(home), overrides=_OVERRIDES) as instance:
        lock = os.open(home / "in-process.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if _locked(lock):
                _fail_abandoned(instance)
                fcntl.flock(lock, fcntl.LOCK_UN)
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield instance
        finally:
            os.close(lock)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _fail_abandoned(instance: dg.DagsterInstance) -> None:
    """Marks runs as failed whose process was killed: no process is running any, and Dagster watches only its own."""
    unfinished = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished, tags={IN_PROCESS_TAG: "true"})):
        instance.report_run_failed(run, "The process that ran it ended without a word.")


@contextmanager
def _signal_handlers_kept() -> Generator[None]:
    """Gives the signals back to whoever had them: Dagster leaves its own handler on SIGTERM."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
