RESET ROLE;
REVOKE SELECT ON public.ledger_schema_version FROM ledger_reader, ledger_application, ledger_archiver, ledger_service;
SET LOCAL ROLE ledger_owner;

DROP FUNCTION refuse_foreign_drives(uuid[], append_staging[]);
DROP FUNCTION create_drive(text, text);

DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'ledger' LOOP
        EXECUTE format('DROP POLICY %I ON %I', policy.policyname, policy.tablename);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', policy.tablename);
    END LOOP;
END $$;

DROP FUNCTION visible_users(), cold_files(date, date, uuid), refuse_manifest(date), readable_drives();
ALTER TABLE execution_heads DROP COLUMN pruned_drive_id;

REVOKE ALL ON admin_log FROM ledger_reader, ledger_application, ledger_service;
REVOKE EXECUTE ON FUNCTION adopt(text, boolean) FROM ledger_service;
REVOKE ALL ON model_pricing, price_rules, price_sources, customers, users, agents, drives FROM ledger_service;
REVOKE USAGE ON SCHEMA ledger FROM ledger_service;
REVOKE UPDATE (name, description, metadata) ON drives FROM ledger_application;
REVOKE UPDATE (name, email, metadata) ON users FROM ledger_application;
REVOKE INSERT (drive_id, name, contact, metadata), UPDATE (name, contact, metadata) ON customers FROM ledger_application;
REVOKE INSERT (drive_id, name, kind, metadata), UPDATE (name, kind, metadata) ON agents FROM ledger_application;

GRANT SELECT ON checkpoints, feed_cursors TO ledger_reader, ledger_application;
GRANT INSERT, UPDATE, DELETE ON execution_snapshots, feed_cursors TO ledger_application;
GRANT INSERT ON model_pricing, price_rules, price_sources TO ledger_application;
GRANT INSERT, UPDATE, DELETE ON customers, users, agents, drives TO ledger_application;
