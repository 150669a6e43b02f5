-- admin_log stays: what was done remains on record, and the way up takes it over.
DROP VIEW agent_states;
DROP TRIGGER logged ON price_sources;
DROP TRIGGER logged ON price_rules;
DROP TRIGGER logged ON model_pricing;
DROP TABLE drive_members;
DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['customers', 'users', 'agents', 'drives'] LOOP
        EXECUTE format('DROP TRIGGER logged ON %I', place);
        EXECUTE format('DROP TRIGGER never_truncated ON %I', place);
        EXECUTE format('DROP TRIGGER %I ON %I', place || '_touched', place);
        EXECUTE format('ALTER TABLE %I DROP COLUMN metadata, DROP COLUMN updated_at, DROP CONSTRAINT %I', place, place || '_name');
    END LOOP;
END $$;
ALTER TABLE agents DROP COLUMN drive_id, DROP COLUMN kind;
ALTER TABLE customers DROP COLUMN drive_id, DROP COLUMN contact;
ALTER TABLE users DROP COLUMN email, DROP COLUMN database_login;
ALTER TABLE drives DROP COLUMN description;
DROP FUNCTION log_changes_of(regclass, name, name);
DROP FUNCTION log_admin_action();
DROP FUNCTION record_admin_action(text, text, text, jsonb, jsonb, uuid);
DROP FUNCTION protect_rows_from_truncate(regclass);
DROP FUNCTION refuse_truncate();
