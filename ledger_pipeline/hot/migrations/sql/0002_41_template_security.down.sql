DROP TRIGGER logged ON workflow_templates;
DROP TRIGGER never_truncated ON workflow_templates;
DROP TRIGGER never_truncated ON workflow_template_steps;
DO $$
DECLARE
    policy record;
BEGIN
    FOR policy IN
        SELECT tablename, policyname FROM pg_policies
        WHERE schemaname = 'ledger' AND starts_with(tablename::text, 'workflow_template')
    LOOP
        EXECUTE format('DROP POLICY %I ON %I', policy.policyname, policy.tablename);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', policy.tablename);
    END LOOP;
END $$;
DROP FUNCTION may_execute_template(uuid, uuid);
