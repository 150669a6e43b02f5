"""What the outside world writes: the event table, the source of everything else, and the budgets."""

import dagster as dg

from ledger_pipeline.defs.ownership import ENGINEERING, FINANCE, HOT
from ledger_pipeline.events.catalogue import EVENT_COLUMNS

EVENT_COLUMN_SCHEMA = dg.TableSchema([dg.TableColumn(name, type=kind.value) for name, kind in EVENT_COLUMNS.items()])

workflow_events = dg.AssetSpec(
    "workflow_events",
    description="Every event of every execution, appended by agents and importers and never changed. "
    "Recent weeks are in Postgres; older ones are in the event archive.",
    group_name=HOT,
    owners=[ENGINEERING],
    kinds={"postgres"},
    metadata={"dagster/table_name": "ledger.workflow_events", "dagster/column_schema": EVENT_COLUMN_SCHEMA},
)

period_budgets = dg.AssetSpec(
    "period_budgets",
    description="What workflows, agents and customers may use a day, week, month, quarter or year: set by people.",
    group_name=HOT,
    owners=[FINANCE],
    kinds={"postgres"},
    metadata={"dagster/table_name": "ledger.budgets"},
)
