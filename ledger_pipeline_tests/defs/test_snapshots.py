"""The asset of snapshots, run as an operator would who doubts them."""

from datetime import datetime

import dagster as dg
import psycopg
import pytest

from ledger_pipeline.defs.clock import NOW_TAG
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.snapshots import SnapshotConfig, execution_snapshots
from ledger_pipeline_tests.defs.small_ledger import AGES_IN_DAYS

pytestmark = pytest.mark.usefixtures("small_ledger")


@pytest.mark.mission("A7")
def test_deleted_snapshots_are_taken_again_when_everything_is_looked_at(
    instance: dg.DagsterInstance, now: datetime, connection: psycopg.Connection[dict[str, object]]
) -> None:
    def stored(*, everything: bool) -> object:
        run = dg.materialize(
            [execution_snapshots],
            instance=instance,
            resources={"ledger": LedgerResource()},
            run_config=dg.RunConfig({"execution_snapshots": SnapshotConfig(everything=everything)}),
            tags={NOW_TAG: now.isoformat()},
        )
        (materialization,) = run.asset_materializations_for_node("execution_snapshots")
        return materialization.metadata["dagster/row_count"].value

    assert stored(everything=False) == len(AGES_IN_DAYS)
    connection.execute("DELETE FROM execution_snapshots")
    connection.commit()
    assert stored(everything=False) == 0
    assert stored(everything=True) == len(AGES_IN_DAYS)
