"""The marts: an asset each, with its lineage; one build makes them all and publishes them together or not at all."""

import hashlib
from collections.abc import Iterator

import dagster as dg

from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.due_weeks import due_weeks
from ledger_pipeline.defs.events import period_budgets, workflow_events
from ledger_pipeline.defs.failures import RETRIES, only_transient_retried
from ledger_pipeline.defs.freshness import DAILY
from ledger_pipeline.defs.mart_previews import previews
from ledger_pipeline.defs.ownership import MART_GROUPS, MART_OWNERS
from ledger_pipeline.defs.prices import model_prices
from ledger_pipeline.defs.progress import paced
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized
from ledger_pipeline.errors import ReconciliationFailed
from ledger_pipeline.marts.build import Build
from ledger_pipeline.marts.definitions import Mart, marts

PREFIX = "marts"
RECONCILIATION = "reconciliation"
RECONCILES = "marts_reconcile_to_the_events"
RULES_HOLD = "rules_hold"
_BESIDE_EVENTS = {"staging.model_pricing": model_prices, "staging.budgets": period_budgets}


def key_of(mart: str) -> dg.AssetKey:
    """A mart's asset key: its schema and its name."""
    return dg.AssetKey([PREFIX, mart])


def _upstream(mart: Mart) -> Iterator[dg.AssetDep]:
    """What a mart is made from: other marts, the price book, budgets, or events, hot and cold."""
    for table in mart.inputs:
        if table.startswith(f"{PREFIX}."):
            yield dg.AssetDep(key_of(table.removeprefix(f"{PREFIX}.")))
        elif table in _BESIDE_EVENTS:
            yield dg.AssetDep(_BESIDE_EVENTS[table])
    if any(table.startswith("staging.") and table not in _BESIDE_EVENTS for table in mart.inputs):
        yield dg.AssetDep(workflow_events)
        yield dg.AssetDep(due_weeks)


def _column_schema(mart: Mart) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name, column.type, column.description, tags={"grain": ""} if column.name in mart.grain else {}
            )
            for column in mart.columns
        ]
    )


def _spec(mart: Mart) -> dg.AssetSpec:
    return dg.AssetSpec(
        key_of(mart.name),
        deps=list(_upstream(mart)),
        description=mart.description,
        group_name=MART_GROUPS[mart.kind],
        owners=[MART_OWNERS[mart.kind]],
        kinds={"duckdb", "view" if mart.view else "table"},
        freshness_policy=DAILY,
        code_version=hashlib.sha256(f"{mart.query}\0{mart.columns}".encode()).hexdigest()[:12],
        metadata={
            "dagster/table_name": f"marts.{mart.name}",
            "dagster/column_schema": _column_schema(mart),
            "one row for each": ", ".join(mart.grain),
            "rebuilt by": ", ".join(() if mart.view else mart.rebuild_by) or "nothing: whole every time",
        },
    )


def _check_specs() -> Iterator[dg.AssetCheckSpec]:
    yield dg.AssetCheckSpec(
        RECONCILES,
        asset=key_of(RECONCILIATION),
        blocking=True,
        description="Rows, tokens and money of the marts are those of the events, to the last decimal, and every other "
        "rule of every mart holds. A build that breaks one is not published: the last good one stays current.",
    )
    for mart in marts().values():
        yield dg.AssetCheckSpec(
            RULES_HOLD,
            asset=key_of(mart.name),
            description="\n".join(f"- {check.rule}" for check in mart.checks) or "One row for each key.",
        )


@dg.multi_asset(
    name=PREFIX,
    specs=[_spec(mart) for mart in marts().values()],
    check_specs=list(_check_specs()),
    retry_policy=RETRIES,
)
def mart_build(
    context: dg.AssetExecutionContext, ledger: LedgerResource
) -> Iterator[Materialized | dg.AssetCheckResult]:
    """Brings every mart up to the events, checks all of them and publishes them together."""
    say = paced(context.log)
    with ledger.open() as opened:
        try:
            built: Build = opened.build_marts(now_of(context), progress=say)
        except ReconciliationFailed as error:
            yield dg.AssetCheckResult(
                asset_key=key_of(RECONCILIATION),
                check_name=RECONCILES,
                passed=False,
                description=str(error),
                metadata={"first difference": str(error)},
            )
            raise
    whole = "whole" if built.whole else "continued"
    context.log.info(f"{built.new_events:,} new events; {whole} build {built.path.name} is current")
    with only_transient_retried():
        yield from _materialized(built)
    yield from _judged(built)


def _materialized(built: Build) -> Iterator[Materialized]:
    shown = previews(built.path)
    for name, mart in marts().items():
        yield Materialized(
            asset_key=key_of(name),
            metadata={
                "dagster/row_count": built.rows[name],
                "dagster/column_schema": _column_schema(mart),
                "build": built.path.name,
                "built from all events": built.whole,
                "new events": built.new_events,
                **shown[name],
            },
        )


def _judged(built: Build) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        asset_key=key_of(RECONCILIATION),
        check_name=RECONCILES,
        passed=True,
        metadata={"rules": len(built.checks), "marts": len(built.rows)},
    )
    for name in marts():
        results = [result for result in built.checks if result.mart == name]
        broken = {
            result.rule: f"{result.broken_by:,} rows, such as {result.first}" for result in results if not result.passed
        }
        yield dg.AssetCheckResult(
            asset_key=key_of(name),
            check_name=RULES_HOLD,
            passed=not broken,
            # What must hold is judged before a build is published: only warnings are left.
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"rules": len(results), **broken},
        )
