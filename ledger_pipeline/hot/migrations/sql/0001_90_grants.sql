-- Least privilege: the application appends through functions and reads; nobody but the owner writes events.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
REVOKE ALL ON SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO ledger_reader, ledger_application, ledger_archiver;
GRANT SELECT ON workflow_events, execution_heads, workflow_executions, workflow_steps, executions, workflow_approvals,
    workflow_artifacts, execution_log, execution_snapshots, customers, users, agents, drives, ledger_state,
    ledger_epochs, state_rules, model_pricing, price_sources, price_rules,
    model_pricing_history, current_model_pricing, archive_manifest, checkpoints, feed_cursors
    TO ledger_reader, ledger_application, ledger_archiver;
GRANT INSERT ON append_staging, model_pricing, price_rules, price_sources TO ledger_application;
GRANT INSERT, UPDATE, DELETE ON customers, users, agents, drives TO ledger_application;
GRANT SELECT, INSERT, UPDATE, DELETE ON execution_snapshots, feed_cursors TO ledger_application, ledger_archiver;
GRANT EXECUTE ON FUNCTION
    append(uuid, json, bigint, text, boolean, bytea), append_staged(uuid, boolean, bigint), staged_weeks(uuid, boolean),
    make_leaf(text, date), missing_leaves(date[]), clear_staging(interval), discard_staged(uuid)
    TO ledger_application;
GRANT EXECUTE ON FUNCTION
    assert_epoch(), server_identity(), week_of(timestamptz), leaf(workflow_events), canonical_text(workflow_events),
    leaf_table(text, date), type_table(text), uuidv7(timestamptz)
    TO ledger_reader, ledger_application, ledger_archiver;
GRANT EXECUTE ON FUNCTION make_leaf(text, date), missing_leaves(date[]) TO ledger_archiver;
