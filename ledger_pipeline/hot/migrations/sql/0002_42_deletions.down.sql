DROP TRIGGER never_deleted ON execution_heads;
DO $$
DECLARE
    place text;
BEGIN
    FOREACH place IN ARRAY ARRAY['execution_heads', 'workflow_executions', 'workflow_steps', 'executions',
        'workflow_approvals', 'workflow_artifacts', 'execution_log', 'execution_snapshots', 'append_keys', 'usage_keys',
        'archive_manifest', 'checkpoints'] LOOP
        EXECUTE format('DROP TRIGGER never_truncated ON %I', place);
    END LOOP;
END $$;
DROP TRIGGER forgotten ON agents;
DROP FUNCTION forget_agents();
DROP INDEX workflow_steps_agent;
DROP TRIGGER followed ON workflow_executions;
DROP FUNCTION follow_deleted_executions();
