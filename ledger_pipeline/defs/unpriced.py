"""What could not be priced, listed daily."""

import dagster as dg

from ledger_pipeline.defs.marts import key_of
from ledger_pipeline.defs.tables import markdown_table
from ledger_pipeline.marts.publish import connect_readonly
from ledger_pipeline.settings import Settings

SHOWN_MODELS = 20


@dg.asset_check(asset=key_of("unpriced_usage"))
def every_model_is_priced() -> dg.AssetCheckResult:
    """No model call is without a price; the models that have none are listed, to be priced and re-priced on command."""
    marts = connect_readonly(Settings.read())
    try:
        calls = marts.execute("SELECT coalesce(sum(calls), 0) FROM marts.unpriced_usage").fetchone()
        rows = marts.execute(
            """
            SELECT provider, model, unpriced_reason, calls, total_tokens, estimated_cost_usd, recorded_cost_usd
            FROM marts.unpriced_usage
            ORDER BY estimated_cost_usd DESC NULLS LAST, provider, model
            LIMIT ?
            """,
            [SHOWN_MODELS],
        ).fetchall()
    finally:
        marts.close()
    columns = ("provider", "model", "reason", "calls", "tokens", "estimate USD", "recorded USD")
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "unpriced calls": int(calls[0]) if calls else 0,
            "models": dg.MetadataValue.md(markdown_table(columns, rows)),
        },
    )
