"""Checks of the archive and of what could not be priced; none of them changes anything."""

from datetime import timedelta

import dagster as dg

from ledger_pipeline.cold import roll
from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.defs.archive import due_weeks, event_archive
from ledger_pipeline.defs.clock import now_of
from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.marts import key_of
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.tables import markdown_table
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.settings import Settings

SHOWN = 20


@dg.asset_check(asset=event_archive, additional_deps=[due_weeks], retry_policy=RETRIES)
def newest_expected_week_is_rolled(
    context: dg.AssetCheckExecutionContext, ledger: LedgerResource
) -> dg.AssetCheckResult:
    """No week that has been hot long enough is still in Postgres."""
    now = now_of(context)
    with ledger.open() as opened:
        late = roll.due_weeks(opened.connection, now, opened.settings.hot_days)
        rolled = committed_weeks(opened.connection)
        last_instant = now - timedelta(days=opened.settings.hot_days)
    metadata = {
        "weeks must end before": last_instant.isoformat(timespec="seconds"),
        "newest week in the archive": rolled[-1].week.isoformat() if rolled else "none",
        "late": ", ".join(map(str, late)) or "none",
    }
    return dg.AssetCheckResult(passed=not late, metadata=metadata)


@dg.asset_check(asset=event_archive, additional_deps=[due_weeks], retry_policy=RETRIES)
def every_file_of_the_manifest_exists(
    context: dg.AssetCheckExecutionContext, ledger: LedgerResource
) -> dg.AssetCheckResult:
    """Each file that the manifest names is in the cold store, with the bytes that were written."""
    files = 0
    damaged: list[str] = []
    with ledger.open() as opened:
        for week in committed_weeks(opened.connection):
            for file in week.files:
                files += 1
                try:
                    check_file(opened.settings.cold_dir, file)
                except ColdStoreDamaged as error:
                    damaged.append(str(error))
    shown = "\n".join(f"- {problem}" for problem in damaged[:SHOWN])
    return dg.AssetCheckResult(
        passed=not damaged,
        metadata={"files": files, "damaged": len(damaged), "problems": dg.MetadataValue.md(shown or "none")},
    )


@dg.asset_check(asset=key_of("unpriced_usage"))
def every_model_is_priced() -> dg.AssetCheckResult:
    """No model call is without a price; the models that have none are listed, to be priced and re-priced on command."""
    with connect_readonly(Settings.read()) as marts:
        calls = marts.execute("SELECT coalesce(sum(calls), 0) FROM marts.unpriced_usage").fetchone()
        rows = marts.execute(
            """
            SELECT provider, model, unpriced_reason, calls, total_tokens, estimated_cost_usd, recorded_cost_usd
            FROM marts.unpriced_usage
            ORDER BY estimated_cost_usd DESC NULLS LAST, provider, model
            LIMIT ?
            """,
            [SHOWN],
        ).fetchall()
    columns = ("provider", "model", "reason", "calls", "tokens", "estimate USD", "recorded USD")
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unpriced calls": int(calls[0]) if calls else 0, "models": dg.MetadataValue.md(markdown_table(columns, rows))},
    )
