"""What could not be priced, and what could be re-priced, listed daily."""

import dagster as dg

from ledger_pipeline.defs.failures import RETRIES
from ledger_pipeline.defs.marts import key_of
from ledger_pipeline.defs.resources import LedgerResource
from ledger_pipeline.defs.tables import markdown_table
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline.pricing.repricing import all_changed_at, lines_of_marts
from ledger_pipeline.settings import Settings

SHOWN_MODELS = 20


@dg.asset_check(asset=key_of("unpriced_usage"))
def every_model_is_priced() -> dg.AssetCheckResult:
    """No model call is without a price; the models that have none are listed, to be priced and re-priced on command."""
    marts = connect_readonly(Settings.read())
    try:
        calls = marts.execute("SELECT coalesce(sum(calls - repriced_calls), 0) FROM marts.unpriced_usage").fetchone()
        rows = marts.execute(
            """
            SELECT
                provider, model, unpriced_reason, calls, repriced_calls, total_tokens, estimated_cost_usd,
                recorded_cost_usd
            FROM marts.unpriced_usage
            WHERE calls > repriced_calls
            ORDER BY estimated_cost_usd DESC NULLS LAST, provider, model
            LIMIT ?
            """,
            [SHOWN_MODELS],
        ).fetchall()
    finally:
        marts.close()
    columns = ("provider", "model", "reason", "calls", "repriced", "tokens", "estimate USD", "recorded USD")
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "unpriced calls": int(calls[0]) if calls else 0,
            "models": dg.MetadataValue.md(markdown_table(columns, rows)),
        },
    )


@dg.asset_check(asset=key_of("model_usage"), retry_policy=RETRIES)
def costs_are_as_known_now(ledger: LedgerResource) -> dg.AssetCheckResult:
    """Every call costs, corrections included, what the price book knows now; `prices reprice` corrects the others.

    It looks at the calls whose price may have changed since they were recorded, not at all of them.
    """
    with ledger.open() as opened, opened.marts() as marts:
        looked_at = lines_of_marts(load_book(opened.connection), all_changed_at(opened.connection), marts)
    lines = [line for line in looked_at if line.corrected]
    columns = ("month", "provider", "model", "looked at", "to correct", "before USD", "after USD", "difference USD")
    rows = [
        (
            *(line.month, line.provider, line.model, line.calls, line.corrected),
            *(line.before_usd, line.after_usd, line.difference_usd),
        )
        for line in sorted(lines, key=lambda line: -abs(line.difference_usd))[:SHOWN_MODELS]
    ]
    return dg.AssetCheckResult(
        passed=not lines,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "calls looked at": sum(line.calls for line in looked_at),
            "calls to correct": sum(line.corrected for line in lines),
            "models and months": dg.MetadataValue.md(markdown_table(columns, rows)),
        },
    )
