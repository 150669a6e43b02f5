"""The price book, brought up to the price sources."""

from datetime import timedelta

import dagster as dg

from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.freshness import DAILY
from ledger_pipeline.defs.ownership import FINANCE, HOT
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.results import Materialized
from ledger_pipeline.defs.tables import markdown_list, markdown_table
from ledger_pipeline.pricing.disagreement import disagreements
from ledger_pipeline.pricing.sources import source_names
from ledger_pipeline.pricing.sync import SyncResult, last_good_readings

SHOWN_CHANGES = 20
SHOWN_DISAGREEMENTS = 50
STALE_AFTER = timedelta(days=3)
"""A source that is read daily may miss two days."""

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
    code_version="2",
    retry_policy=RETRIES,
    freshness_policy=DAILY,
    metadata={"dagster/table_name": "ledger.model_pricing"},
    check_specs=[
        dg.AssetCheckSpec(
            "every_source_answers",
            asset="model_prices",
            description="Each price source could be read; the prices of one that could not stay as they were.",
        ),
        dg.AssetCheckSpec(
            "every_listed_price_is_one",
            asset="model_prices",
            description="No source lists what is no price: negative, not a number, twice with different prices, "
            "or nothing where it had a price. What was known of such models stays.",
        ),
        dg.AssetCheckSpec(
            "no_price_jumps",
            asset="model_prices",
            description="No source's price changed more than tenfold. Such a model's prices are held, not booked, "
            "until `prices accept`.",
        ),
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
        check_results=[_every_source_answers(synced), _every_listed_price_is_one(synced), _no_price_jumps(synced)],
    )


@dg.asset_check(asset=model_prices, retry_policy=RETRIES)
def every_source_is_fresh(context: dg.AssetCheckExecutionContext, ledger: LedgerResource) -> dg.AssetCheckResult:
    """Each configured price source was read well within the last days; its last good prices hold until it is again."""
    now = now_of(context)
    with ledger.open() as opened:
        names = source_names(opened.settings.price_sources)
        read = last_good_readings(opened.connection)
    stale = [name for name in names if name not in read or read[name] < now - STALE_AFTER]
    rows = [(name, read.get(name), "stale" if name in stale else "fresh") for name in names]
    return dg.AssetCheckResult(
        passed=not stale,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "stale after": f"{STALE_AFTER.days} days",
            "sources": dg.MetadataValue.md(markdown_table(("source", "last read well", "state"), rows)),
        },
    )


@dg.asset_check(asset=model_prices, retry_policy=RETRIES)
def sources_agree(context: dg.AssetCheckExecutionContext, ledger: LedgerResource) -> dg.AssetCheckResult:
    """No two sources' rates of the same price differ by more than 1 %; the better source's is what calls cost."""
    with ledger.open() as opened:
        names = source_names(opened.settings.price_sources)
        found = disagreements(opened.connection, names, now_of(context))
    columns = ("provider", "model", "usage", "over tokens", "tier", "source", "USD", "other", "its model", "its USD")
    rows = [
        (
            *(one.key.provider, one.key.model, one.key.usage_kind, one.key.context_tier, one.key.service_tier),
            *(one.source, one.usd_per_million, one.other_source, one.other_model, one.other_usd_per_million),
        )
        for one in found[:SHOWN_DISAGREEMENTS]
    ]
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"disagreements": len(found), "rates": dg.MetadataValue.md(markdown_table(columns, rows))},
    )


def _every_source_answers(synced: SyncResult) -> dg.AssetCheckResult:
    failed = {source.source: source.error or "" for source in synced.sources if source.status == "failed"}
    return dg.AssetCheckResult(
        check_name="every_source_answers", passed=not failed, severity=dg.AssetCheckSeverity.WARN, metadata=failed
    )


def _every_listed_price_is_one(synced: SyncResult) -> dg.AssetCheckResult:
    faults = [f"{source.source}: {fault}" for source in synced.sources for fault in source.faults]
    return dg.AssetCheckResult(
        check_name="every_listed_price_is_one",
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"faults": len(faults), "first": dg.MetadataValue.md(markdown_list(faults[:SHOWN_CHANGES]))},
    )


def _no_price_jumps(synced: SyncResult) -> dg.AssetCheckResult:
    held = [one for source in synced.sources for one in source.held]
    rows = [(one.source, one.provider, one.model, "; ".join(one.jumps)) for one in held]
    columns = ("source", "provider", "model", "jumps, USD per million")
    return dg.AssetCheckResult(
        check_name="no_price_jumps",
        passed=not held,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"held": len(held), "models": dg.MetadataValue.md(markdown_table(columns, rows))},
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
