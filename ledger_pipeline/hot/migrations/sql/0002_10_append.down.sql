-- The rights of the functions of before, which the migration makes anew from their own files.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    append(uuid, json, bigint, text, boolean, bytea), append_staged(uuid, boolean, bigint), staged_weeks(uuid, boolean),
    clear_staging(interval), discard_staged(uuid)
    TO ledger_application;
GRANT EXECUTE ON FUNCTION leaf(workflow_events) TO ledger_reader, ledger_application, ledger_archiver;
