"""The folder in which Dagster keeps its runs and settings, `LEDGER_HOME/dagster`."""

from pathlib import Path

from ledger_pipeline.settings import Settings

INSTANCE = """\
# Written once by `ledger-pipeline up`; change it freely.

# Nothing is sent to anybody, and no dialog asks for an address.
telemetry:
  enabled: false
nux:
  enabled: false

# Dagster keeps its own events at any level; what goes to the terminal needs no more than this.
python_logs:
  python_log_level: INFO

# Runs wait for each other: the daily job uses the machine fully.
concurrency:
  runs:
    max_concurrent_runs: 1

# A run that never starts, or never ends, is marked as failed.
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
  cancel_timeout_seconds: 120
  max_runtime_seconds: 43200
  poll_interval_seconds: 30

schedules:
  use_threads: true
sensors:
  use_threads: true

# Ticks that found nothing to do are soon of no use.
retention:
  schedule:
    purge_after_days: {skipped: 7, failure: 90, success: 365}
  sensor:
    purge_after_days: {skipped: 2, failure: 90, success: 90}
"""


def make_dagster_home(settings: Settings) -> Path:
    """The folder, made and configured if it isn't yet; an existing configuration is the user's and stays."""
    folder = settings.home / "dagster"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists():
        configuration.write_text(INSTANCE, encoding="utf-8")
    return folder
