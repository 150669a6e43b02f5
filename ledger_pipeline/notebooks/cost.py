"""Cost analysis: trend, models, workflows, waste, and what the same calls would have cost at other prices."""

import marimo

app = marimo.App(width="medium", app_title="Cost of agent work")


@app.cell
def _():
    import altair as alt
    import marimo as mo
    import polars as pl

    from ledger_pipeline.ledger import Ledger
    from ledger_pipeline.marts.publish import connect_readonly
    from ledger_pipeline.notebooks.reading import for_chart, for_table, frame, usd
    from ledger_pipeline.settings import Settings

    return Ledger, Settings, alt, connect_readonly, for_chart, for_table, frame, mo, pl, usd


@app.cell
def _(Settings, connect_readonly):
    settings = Settings.read()
    marts = connect_readonly(settings)
    return marts, settings


@app.cell
def _(frame, marts, mo, usd):
    overview = frame(
        marts,
        """
        SELECT count(*) AS calls, count(*) FILTER (NOT priced AND correction_count = 0) AS unpriced_calls,
            sum(cost_usd) AS cost_usd, sum(corrected_cost_usd) AS corrected_cost_usd,
            sum(corrected_estimate_usd) AS corrected_estimate_usd,
            min(day) AS first_day, max(day) AS last_day, count(DISTINCT execution_id) AS executions
        FROM marts.model_usage
        """,
    ).row(0, named=True)
    mo.vstack(
        [
            mo.md(
                f"# What the agents cost\n\n{overview['calls']:,} model calls of {overview['executions']:,} executions"
                f" from {overview['first_day']} to {overview['last_day']} (UTC)."
            ),
            mo.hstack(
                [
                    mo.stat(usd(overview["cost_usd"]), label="Cost as recorded"),
                    mo.stat(usd(overview["corrected_cost_usd"]), label="Cost as known now"),
                    mo.stat(f"{overview['unpriced_calls']:,}", label="Calls without a price"),
                    mo.stat(usd(overview["corrected_estimate_usd"]), label="Cautious estimate of those"),
                ],
                widths="equal",
            ),
        ]
    )
    return (overview,)


@app.cell
def _(alt, for_chart, frame, marts, mo):
    monthly = frame(
        marts,
        """
        SELECT month, coalesce(provider, '(not given)') AS provider, model, sum(calls)::BIGINT AS calls,
            sum(total_tokens)::BIGINT AS tokens, sum(cost_usd) AS cost_usd,
            sum(corrected_cost_usd) AS corrected_cost_usd
        FROM marts.cost_daily GROUP BY ALL ORDER BY month, cost_usd DESC NULLS LAST
        """,
    )
    trend_chart = (
        alt.Chart(for_chart(monthly), title="Cost by month and model, USD")
        .mark_bar()
        .encode(
            x=alt.X("month:O", title=None),
            y=alt.Y("sum(corrected_cost_usd):Q", title="USD"),
            color=alt.Color("model:N", sort="-y"),
            tooltip=["month", "model", "calls", alt.Tooltip("corrected_cost_usd:Q", format="$,.2f")],
        )
        .properties(width="container", height=280)
    )
    mo.vstack([mo.md("## Trend"), trend_chart])
    return monthly, trend_chart


@app.cell
def _(alt, for_chart, frame, marts, mo):
    migration = frame(
        marts,
        """
        SELECT week_start AS week, model, sum(calls)::BIGINT AS calls
        FROM marts.model_migration GROUP BY ALL ORDER BY week, model
        """,
    )
    migration_chart = (
        alt.Chart(for_chart(migration), title="Which models take the calls, share by week")
        .mark_area()
        .encode(
            x=alt.X("week:T", title=None),
            y=alt.Y("calls:Q", stack="normalize", title="share of calls", axis=alt.Axis(format="%")),
            color="model:N",
            tooltip=["week", "model", "calls"],
        )
        .properties(width="container", height=220)
    )
    mo.vstack([mo.md("## Models over time"), migration_chart])
    return migration, migration_chart


@app.cell
def _(mo):
    grouping = mo.ui.dropdown(
        ["model", "workflow_name", "agent_name", "customer_id", "user_id", "mode"],
        value="workflow_name",
        label="Cost by",
    )
    grouping
    return (grouping,)


@app.cell
def _(alt, for_chart, for_table, frame, grouping, marts, mo):
    by_group = frame(
        marts,
        f"""
        SELECT coalesce({grouping.value}::VARCHAR, '(none)') AS name, sum(calls)::BIGINT AS calls,
            sum(total_tokens)::BIGINT AS tokens, sum(cost_usd) AS cost_usd, sum(corrections_usd) AS corrections_usd,
            sum(corrected_cost_usd) AS corrected_cost_usd, sum(corrected_estimate_usd) AS corrected_estimate_usd
        FROM marts.cost_daily GROUP BY 1 ORDER BY corrected_cost_usd DESC NULLS LAST
        """,  # noqa: S608  one of the names in the list above
    )
    by_group_chart = (
        alt.Chart(for_chart(by_group.head(15)), title=f"Cost by {grouping.value}, the first 15")
        .mark_bar()
        .encode(
            x=alt.X("corrected_cost_usd:Q", title="USD"),
            y=alt.Y("name:N", sort="-x", title=None),
            tooltip=["name", "calls", "tokens", alt.Tooltip("corrected_cost_usd:Q", format="$,.2f")],
        )
        .properties(width="container")
    )
    mo.vstack([by_group_chart, mo.ui.table(for_table(by_group), page_size=10, selection=None)])
    return by_group, by_group_chart


@app.cell
def _(alt, for_chart, for_table, frame, marts, mo):
    waste = frame(
        marts,
        """
        SELECT workflow_name, reason, count(*) AS calls, sum(total_tokens)::BIGINT AS tokens,
            sum(corrected_cost_usd) AS wasted_usd, sum(corrected_estimate_usd) AS estimate_usd,
            mode(error_message) AS most_frequent_error
        FROM marts.wasted_usage GROUP BY ALL ORDER BY wasted_usd DESC NULLS LAST, workflow_name, reason
        """,
    )
    waste_chart = (
        alt.Chart(for_chart(waste), title="Spent on work that came to nothing, USD")
        .mark_bar()
        .encode(
            x=alt.X("wasted_usd:Q", title="USD"),
            y=alt.Y("workflow_name:N", title=None, sort="-x"),
            color="reason:N",
            tooltip=["workflow_name", "reason", "calls", alt.Tooltip("wasted_usd:Q", format="$,.2f")],
        )
        .properties(width="container")
    )
    mo.vstack(
        [
            mo.md(
                "## Waste\n\nWhat was spent in executions that failed, were aborted, cancelled or timed out; in others,"
                " on attempts that were repeated and steps that failed."
            ),
            waste_chart,
            mo.ui.table(for_table(waste), selection=None),
        ]
    )
    return waste, waste_chart


@app.cell
def _(for_table, frame, marts, mo):
    per_success = frame(
        marts,
        """
        SELECT month, workflow_name, template_version, executions, completed, failed, timed_out, stopped,
            corrected_cost_usd, wasted_cost_usd, cost_per_completed_usd
        FROM marts.cost_by_template_version ORDER BY month DESC, corrected_cost_usd DESC NULLS LAST, workflow_name,
            template_version
        """,
    )
    mo.vstack(
        [
            mo.md("### Cost of an execution that succeeds, by version of its template"),
            mo.ui.table(for_table(per_success), page_size=15, selection=None),
        ]
    )
    return (per_success,)


@app.cell
def _(alt, for_chart, for_table, frame, marts, mo):
    cache = frame(
        marts,
        """
        SELECT model, sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
            sum(cache_write_tokens)::BIGINT AS cache_write_tokens, sum(cost_usd) AS cost_usd,
            sum(cache_saved_usd) AS saved_usd
        FROM marts.cache_savings GROUP BY 1 ORDER BY saved_usd DESC NULLS LAST, model
        """,
    )
    cache_chart = (
        alt.Chart(for_chart(cache), title="Saved by the prompt cache, what writing to it cost taken off, USD")
        .mark_bar()
        .encode(x=alt.X("saved_usd:Q", title="USD"), y=alt.Y("model:N", sort="-x", title=None))
        .properties(width="container")
    )
    mo.vstack([mo.md("## Cache"), cache_chart, mo.ui.table(for_table(cache), selection=None)])
    return cache, cache_chart


@app.cell
def _(frame, marts, mo):
    _used = frame(
        marts,
        "SELECT provider, model, sum(cost_usd) AS usd FROM marts.cost_daily WHERE provider IS NOT NULL"
        " GROUP BY ALL HAVING usd > 0 ORDER BY usd DESC",
    )
    _names = [f"{provider}/{model}" for provider, model, _ in _used.iter_rows()]
    from_model = mo.ui.dropdown(_names, value=_names[0] if _names else None, label="Calls of")
    to_model = mo.ui.dropdown(_names, value=_names[-1] if _names else None, label="at the prices of")
    mo.vstack(
        [
            mo.md("## What if\n\nThe same tokens at another model's prices, at each call's time; exact, call by call."),
            mo.hstack([from_model, to_model], justify="start"),
        ]
    )
    return from_model, to_model


@app.cell
def _(Ledger, for_table, frame, from_model, marts, mo, pl, settings, to_model, usd):
    from ledger_pipeline.pricing.book import load_book
    from ledger_pipeline.pricing.set_costing import CALL_COLUMNS, cost_calls

    mo.stop(from_model.value is None or to_model.value is None, mo.md("No call has a price yet."))
    calls = frame(
        marts,
        f"SELECT {', '.join(CALL_COLUMNS)}, cost_usd, month FROM marts.model_usage"  # noqa: S608  our own columns
        " WHERE provider || '/' || model = ? AND priced",
        from_model.value,
    )
    _provider, _, _model = to_model.value.partition("/")
    with Ledger.open(settings) as _ledger:
        _book = load_book(_ledger.connection)
    _asked = calls.with_columns(provider=pl.lit(_provider), model=pl.lit(_model), region=pl.lit(None, pl.String))
    _costed = pl.from_arrow(cost_calls(_book, _asked.select(CALL_COLUMNS).to_arrow()))
    what_if = (
        calls.select("month", "cost_usd")
        .with_columns(instead_usd=_costed["cost_usd"])
        .group_by("month")
        .agg(pl.len().alias("calls"), pl.col("cost_usd").sum(), pl.col("instead_usd").sum())
        .sort("month")
    )
    mo.vstack(
        [
            mo.md(
                f"**{usd(what_if['cost_usd'].sum())}** for {len(calls):,} calls of `{from_model.value}` would have been"
                f" **{usd(what_if['instead_usd'].sum())}** at the prices of `{to_model.value}`."
            ),
            mo.ui.table(for_table(what_if), selection=None),
        ]
    )
    return (what_if,)


@app.cell
def _(for_table, frame, marts, mo):
    anomalies = frame(
        marts,
        "SELECT rank, reason, explanation, severity_usd, occurred_at, workflow_name, model, execution_id"
        " FROM marts.cost_anomalies ORDER BY rank LIMIT 50",
    )
    unpriced = frame(marts, "SELECT * FROM marts.unpriced_usage")
    breaches = frame(
        marts,
        "SELECT occurred_at, budget_scope, workflow_name, threshold_percent, limit_usd, total_usd, over_usd,"
        " execution_id FROM marts.budget_breaches ORDER BY occurred_at DESC LIMIT 50",
    )
    budgets = frame(
        marts,
        """
        SELECT coalesce(workflow_name, agent_id::VARCHAR, customer_id::VARCHAR) AS budget_of, budget_period,
            max_by(period_start, day) AS period_start, max(day) AS last_day, max_by(total_usd, day) AS total_usd,
            max_by(remaining_usd, day) AS remaining_usd, max_by(remaining_tokens, day) AS remaining_tokens,
            max_by(ahead_of_pace, day) AS ahead_of_pace
        FROM marts.budget_burn GROUP BY budget_id, 1, 2 ORDER BY ahead_of_pace DESC, remaining_usd, budget_of
        """,
    )
    mo.vstack(
        [
            mo.md("## To look at"),
            mo.ui.tabs(
                {
                    "Anomalies": mo.ui.table(for_table(anomalies), selection=None),
                    "Without a price": mo.ui.table(for_table(unpriced), selection=None),
                    "Budgets": mo.ui.table(for_table(budgets), selection=None),
                    "Budgets exceeded": mo.ui.table(for_table(breaches), selection=None),
                }
            ),
        ]
    )
    return anomalies, breaches, budgets, unpriced


if __name__ == "__main__":
    app.run()
