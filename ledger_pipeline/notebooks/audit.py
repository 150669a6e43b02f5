"""Audit: the timeline of one execution, who approved what, what looks odd, and the proof that nothing was changed."""

import marimo

app = marimo.App(width="medium", app_title="Audit of agent work")


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
def _(frame, marts, mo):
    recent = frame(
        marts,
        """
        SELECT execution_id::VARCHAR AS execution_id, workflow_name, status, event_count, total_cost, created_at
        FROM marts.executions ORDER BY approvals_pending DESC, event_count DESC, execution_id LIMIT 200
        """,
    )
    chosen = mo.ui.dropdown(
        {
            f"{workflow} · {status} · {events} events · {id}": id
            for id, workflow, status, events, *_ in recent.iter_rows()
        },
        label="Execution",
        searchable=True,
    )
    typed = mo.ui.text(label="or its id", full_width=True)
    mo.vstack(
        [
            mo.md(
                "# Who did what, and is it all there?\n\nOne of the 200 executions with most to look at, or any other."
            ),
            chosen,
            typed,
        ]
    )
    return chosen, recent, typed


@app.cell
def _(chosen, mo, recent, typed):
    # With nothing chosen, the first one: a page that shows something.
    execution_id = typed.value.strip() or chosen.value or (recent["execution_id"][0] if len(recent) else None)
    mo.stop(execution_id is None, mo.md("The ledger holds no execution yet."))
    return (execution_id,)


@app.cell
def _(execution_id, frame, marts, mo, usd):
    found = frame(
        marts,
        "SELECT * FROM marts.executions WHERE execution_id::VARCHAR = ?",
        execution_id,
    )
    mo.stop(not len(found), mo.md(f"**No execution `{execution_id}` is in the marts.**"))
    execution = found.row(0, named=True)
    mo.hstack(
        [
            mo.stat(execution["workflow_name"], label="Workflow"),
            mo.stat(execution["status"], label="Status"),
            mo.stat(f"{execution['progress_percentage']} %", label="Progress"),
            mo.stat(usd(execution["total_cost"]), label="Cost"),
            mo.stat(execution["approved_by"] or "–", label="Approved by"),
        ],
        widths="equal",
    )
    return (execution,)


@app.cell
def _(alt, execution, for_chart, for_table, frame, marts, mo):
    timeline = frame(
        marts,
        """
        SELECT sequence, occurred_at, event_type, summary, step_name, operator_kind, operator_id, event_id, leaf, hash
        FROM marts.audit_log WHERE execution_id = ?::UUID ORDER BY sequence
        """,
        str(execution["execution_id"]),
    )
    steps = frame(
        marts,
        """
        SELECT path, step_name, status, started_at, coalesce(completed_at, started_at) AS completed_at, duration_ms
        FROM marts.steps WHERE execution_id = ?::UUID AND started_at IS NOT NULL ORDER BY path
        """,
        str(execution["execution_id"]),
    )
    steps_chart = (
        alt.Chart(for_chart(steps), title="Steps")
        .mark_bar(height=10, stroke="#555", strokeWidth=1)
        .encode(
            x=alt.X("started_at:T", title=None),
            x2="completed_at:T",
            y=alt.Y("step_name:N", sort=None, title=None),
            color="status:N",
            tooltip=["path", "step_name", "status", "duration_ms"],
        )
        .properties(width="container")
    )
    timeline_chart = (
        alt.Chart(for_chart(timeline.drop("leaf", "hash")), title="Events")
        .mark_tick(thickness=2)
        .encode(
            x=alt.X("occurred_at:T", title=None),
            y=alt.Y("event_type:N", sort=None, title=None),
            color="operator_kind:N",
            tooltip=["sequence", "event_type", "summary", "operator_id"],
        )
        .properties(width="container")
    )
    mo.vstack(
        [
            mo.md("## Timeline"),
            steps_chart,
            timeline_chart,
            mo.ui.table(for_table(timeline).drop("leaf", "hash"), page_size=15, selection=None),
        ]
    )
    return steps, steps_chart, timeline, timeline_chart


@app.cell
def _(Ledger, execution, mo, settings):
    import json as _json

    from ledger_pipeline.events.state_text import state_text as _state_text

    with Ledger.open(settings) as _ledger:
        state = _ledger.replay(execution["execution_id"])
        stored = list(_ledger.events(execution["execution_id"]))
    _shown = _json.dumps(_json.loads(_state_text(state)), indent=2, ensure_ascii=False)
    mo.vstack(
        [
            mo.md("## State, replayed from its events"),
            mo.accordion({"the whole state": mo.md(f"```json\n{_shown}\n```")}),
        ]
    )
    return state, stored


@app.cell
def _(execution, frame, marts, mo, stored):
    from hashlib import sha256 as _sha256

    from ledger_pipeline.events.schema import GENESIS_HASH as _GENESIS_HASH
    from ledger_pipeline.events.schema import leaf_of as _leaf_of

    # Each event hashed anew from what is stored, and chained to the one before it, as the database did at the append.
    chain_faults = []
    _hash = _GENESIS_HASH
    for _row in stored:
        _leaf = _leaf_of(_row)
        _hash = _sha256(_hash + _leaf).digest()
        if (_leaf, _hash) != (_row["leaf"], _row["hash"]):
            chain_faults.append(_row["sequence"])
            _hash = _row["hash"]
    in_marts = frame(
        marts,
        "SELECT sequence, hash FROM marts.audit_log WHERE execution_id = ?::UUID ORDER BY sequence",
        str(execution["execution_id"]),
    )
    _stored_hashes = {row["sequence"]: row["hash"].hex() for row in stored}
    mart_faults = [number for number, known in in_marts.iter_rows() if known != _stored_hashes.get(number)]
    _verdict = (
        "every event hashes to its leaf, continues the chain, and is the one that the marts show"
        if not chain_faults and not mart_faults
        else f"events that differ: {sorted({*chain_faults, *mart_faults})}"
    )
    mo.md(
        f"## Proof\n\n{len(stored)} events re-hashed: **{_verdict}**.\n\nHead hash `{_hash.hex()}`."
        " `ledger-pipeline verify` does this for the whole ledger."
    )
    return chain_faults, in_marts, mart_faults


@app.cell
def _(alt, for_chart, for_table, frame, marts, mo):
    approvals = frame(
        marts,
        """
        SELECT requested_at, workflow_name, subject, status, decided_by, decided_by_kind, comment,
            round(latency_ms / 60000.0, 1)::DOUBLE AS minutes, execution_id
        FROM marts.approvals ORDER BY requested_at DESC
        """,
    )
    latency = frame(
        marts,
        """
        SELECT workflow_name, count(*) AS decisions, count(*) FILTER (status = 'rejected') AS rejected,
            round(median(latency_ms) / 60000.0, 1)::DOUBLE AS median_minutes,
            round(quantile_cont(latency_ms, 0.95) / 60000.0, 1)::DOUBLE AS p95_minutes
        FROM marts.approvals WHERE decided_at IS NOT NULL GROUP BY 1 ORDER BY decisions DESC
        """,
    )
    by_person = frame(
        marts,
        """
        SELECT decided_by, decided_by_kind, sum(approvals)::BIGINT AS decisions,
            coalesce(sum(approvals) FILTER (status = 'rejected'), 0)::BIGINT AS rejected,
            sum(self_decided)::BIGINT AS of_their_own, sum(decided_by_another)::BIGINT AS in_place_of_another,
            sum(decided_again)::BIGINT AS changed,
            round(max(longest_latency_ms) / 60000.0, 1)::DOUBLE AS longest_minutes
        FROM marts.approval_activity WHERE status <> 'pending' GROUP BY ALL ORDER BY decisions DESC, decided_by
        """,
    )
    latency_chart = (
        alt.Chart(for_chart(approvals.drop_nulls("minutes")), title="Minutes until a decision")
        .mark_boxplot()
        .encode(x=alt.X("minutes:Q", title="minutes"), y=alt.Y("workflow_name:N", title=None))
        .properties(width="container")
    )
    mo.vstack(
        [
            mo.md("## Approvals in the whole ledger"),
            latency_chart,
            mo.ui.tabs(
                {
                    "Latency": mo.ui.table(for_table(latency), selection=None),
                    "Who decides": mo.ui.table(for_table(by_person), selection=None),
                    "Each one": mo.ui.table(for_table(approvals), selection=None),
                }
            ),
        ]
    )
    return approvals, by_person, latency, latency_chart


@app.cell
def _(for_table, frame, marts, mo):
    odd = frame(
        marts,
        "SELECT rank, reason, explanation, severity_usd, occurred_at, workflow_name, model, execution_id"
        " FROM marts.cost_anomalies ORDER BY rank LIMIT 50",
    )
    reconciliation = frame(marts, "SELECT * FROM marts.reconciliation WHERE NOT ok")
    checks = frame(marts, "SELECT count(*) AS checks, count(*) FILTER (ok) AS ok FROM marts.reconciliation").row(0)
    mo.vstack(
        [
            mo.md(
                "## Anomalies and reconciliation\n\n"
                f"{checks[1]:,} of {checks[0]:,} sums of the marts equal those of the events."
            ),
            mo.ui.tabs(
                {
                    "Anomalies": mo.ui.table(for_table(odd), selection=None),
                    "Differences": mo.ui.table(for_table(reconciliation), selection=None),
                }
            ),
        ]
    )
    return checks, odd, reconciliation


if __name__ == "__main__":
    app.run()
