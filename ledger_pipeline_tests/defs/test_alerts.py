"""A run that fails is told of, by a command of the operator's."""

import json
import sys
from pathlib import Path

import dagster as dg
import pytest

from ledger_pipeline.defs.alerts import failed_runs

KEEPS_WHAT_IT_GETS = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"


@dg.op
def roll_a_week() -> None:
    raise RuntimeError("the disk is full")


@dg.job(tags={"owner": "finops"})
def nightly() -> None:
    roll_a_week()


def tick(instance: dg.DagsterInstance) -> dg.SkipReason | None:
    """What the sensor makes of a run that failed."""
    result = nightly.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = (e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs", dagster_instance=instance, dagster_run=result.dagster_run, dagster_event=event
    ).for_run_failure()
    return failed_runs(context)  # pyright: ignore[reportCallIssue, reportReturnType]  the decorated function itself


def test_the_command_gets_the_run_as_json(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = tmp_path / "got.json"
    monkeypatch.setenv("LEDGER_ALERT_COMMAND", f'{sys.executable} -c "{KEEPS_WHAT_IT_GETS}" {got}')

    assert tick(instance) is None

    told = json.loads(got.read_text())
    assert (told["job"], told["status"], told["tags"]["owner"]) == ("nightly", "failed", "finops")
    assert told["run_id"] == instance.get_runs()[0].run_id
    assert [step["step"] for step in told["failed_steps"]] == ["roll_a_week"]
    assert "roll_a_week" in told["error"]


def test_without_a_command_nobody_is_told(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGER_ALERT_COMMAND", raising=False)

    skipped = tick(instance)

    assert isinstance(skipped, dg.SkipReason)
    assert "nobody was told" in (skipped.skip_message or "")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/nowhere/to/be/found", "can't be run: .*No such file"),
        ("sh -c 'echo no route >&2; exit 3'", "exit code 3: no route"),
        ("'unclosed", "can't be run: No closing quotation"),
    ],
)
def test_a_command_that_fails_fails_the_tick(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, command: str, says: str
) -> None:
    monkeypatch.setenv("LEDGER_ALERT_COMMAND", command)

    with pytest.raises(dg.Failure, match=says):
        tick(instance)
