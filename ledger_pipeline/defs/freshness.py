"""How old what the daily job makes may become before the UI says so."""

from datetime import timedelta
from typing import Final

import dagster as dg

DAILY: Final = dg.FreshnessPolicy.time_window(
    # The job runs at 01:15 and takes its time: a day and two hours; then a whole day more.
    warn_window=timedelta(hours=26),
    fail_window=timedelta(hours=50),
)
"""For each asset of the daily job. Policies know nothing of partitions: the archive has a check of its newest week."""
