"""The price book, brought up to the price sources."""

import dagster as dg

from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.ownership import FINANCE, HOT
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized
from ledger_pipeline.defs.tables import markdown_table
from ledger_pipeline.pricing.sync import SyncResult

SHOWN_CHANGES = 20

price_sources = dg.AssetSpec(
    "price_sources",
    description="Public price catalogues: the embedded one, and those that the setting LEDGER_PRICE_SOURCES names.",
    group_name=HOT,
    owners=[FINANCE],
)


@dg.asset(
    deps=[price_sources],
    group_name=HOT,
    owners=[FINANCE],
    kinds={"postgres", "python"},
    code_version="1",
    retry_policy=RETRIES,
    metadata={"dagster/table_name": "ledger.model_pricing"},
    check_specs=[
        dg.AssetCheckSpec(
            "every_source_answers",
            asset="model_prices",
            description="Each price source could be read; the prices of one that could not stay as they were.",
        )
    ],
    # The order inside `daily`, where nothing flows between the two: prices, snapshots, then the roll.
    op_tags={"dagster/priority": "2"},
)
def model_prices(context: dg.AssetExecutionContext, ledger: LedgerResource) -> Materialized:
    """What each model variant costs, since when, and since when that is known; rows are only ever added."""
    with ledger.open() as opened:
        synced: SyncResult = opened.sync_prices(now_of(context))
        row = opened.connection.execute("SELECT count(*) AS n FROM model_pricing").fetchone()
    context.log.info(
        f"{synced.rows_new:,} prices new, {synced.rows_changed:,} changed, {synced.rows_withdrawn:,} withdrawn"
    )
    return Materialized(
        metadata={
            "dagster/row_count": row["n"] if row else 0,
            "new": synced.rows_new,
            "changed": synced.rows_changed,
            "withdrawn": synced.rows_withdrawn,
            "sources": dg.MetadataValue.md(_sources(synced)),
            "changes": dg.MetadataValue.md(_changes(synced)),
        },
        check_results=[_every_source_answers(synced)],
    )


def _every_source_answers(synced: SyncResult) -> dg.AssetCheckResult:
    failed = {source.source: source.error or "" for source in synced.sources if source.status == "failed"}
    return dg.AssetCheckResult(
        check_name="every_source_answers", passed=not failed, severity=dg.AssetCheckSeverity.WARN, metadata=failed
    )


def _sources(synced: SyncResult) -> str:
    rows = [(source.source, source.version, source.status, source.prices, source.error) for source in synced.sources]
    return markdown_table(("source", "version", "status", "prices", "error"), rows)


def _changes(synced: SyncResult) -> str:
    changes = synced.changes
    columns = ("change", "provider", "model", "usage", "valid from", "old USD per million", "USD per million")
    rows = [
        (
            change.change,
            change.key.provider,
            change.key.model,
            change.key.usage_kind,
            change.valid_from,
            change.old_usd_per_million,
            change.usd_per_million,
        )
        for change in changes[:SHOWN_CHANGES]
    ]
    more = len(changes) - len(rows)
    return markdown_table(columns, rows) + (f"\n\n… and {more:,} more" if more else "")
