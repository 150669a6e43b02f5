"""Runs that failed: a command of the operator's is told, whatever it does then: mail, a chat, a pager."""

import json
import shlex
import subprocess
from collections.abc import Mapping

import dagster as dg

from ledger_pipeline.settings import Settings

EVERY_SECONDS = 30
PATIENCE_SECONDS = 60


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=EVERY_SECONDS,
    # Whoever runs the daemon on this code wants to hear of failures; the UI stops it.
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Every run that fails, also one that was killed: runs the command of the setting LEDGER_ALERT_COMMAND, "
    "which gets the run as a JSON object on its standard input. Without that setting a failure is in the log only.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Tells of one failed run; a command that fails fails the tick, whose error says how."""
    steps = {event.step_key or "": event.message or "" for event in context.get_step_failure_events()}
    told = account(context.dagster_run, context.failure_event.message or "", steps)
    context.log.error(f"run {told['run_id']} of {told['job']} failed: {told['error']}")
    command = Settings.read().alert_command
    if command is None:
        return dg.SkipReason("LEDGER_ALERT_COMMAND is not set: nobody was told")
    tell(command, told)
    return None


def account(run: dg.DagsterRun, error: str, steps: Mapping[str, str]) -> dict[str, object]:
    """What the command is told of a run."""
    return {
        "run_id": run.run_id,
        "job": run.job_name,
        "status": "failed",
        "error": error,
        "failed_steps": [{"step": step, "error": message} for step, message in steps.items()],
        "tags": {name: value for name, value in run.tags.items() if not name.startswith(".")},
    }


def tell(command: str, told: Mapping[str, object]) -> None:
    """Runs the command with an account on its standard input; raises dg.Failure when it can't be run, or fails."""
    try:
        done = subprocess.run(
            shlex.split(command),
            input=json.dumps(told, ensure_ascii=False) + "\n",
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise dg.Failure(f"LEDGER_ALERT_COMMAND can't be run: {error}", allow_retries=False) from error
    if done.returncode != 0:
        raise dg.Failure(
            f"LEDGER_ALERT_COMMAND ended with exit code {done.returncode}: {done.stderr.strip() or 'it said nothing'}",
            allow_retries=False,
        )
