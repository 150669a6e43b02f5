-- Templates by drive: public ones are seen by its members, private ones by their creator and the drive's administrators.

CREATE FUNCTION may_execute_template(p_template_id uuid, p_drive_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    -- Whether the session may run this template in this drive.
    SELECT EXISTS (
        SELECT FROM workflow_templates t
        WHERE t.id = p_template_id AND t.drive_id = p_drive_id AND may(t.drive_id, 'read')
            AND (t.is_public OR t.created_by = acting_user() OR may(t.drive_id, 'administer')))
$$;

ALTER TABLE workflow_templates ENABLE ROW LEVEL SECURITY;
CREATE POLICY public_or_ones_own ON workflow_templates FOR SELECT TO ledger_reader, ledger_application
    USING (
        drive_id = ANY ((SELECT drives_with_access('read'))::uuid[])
        AND (is_public OR created_by = (SELECT acting_user())
            OR drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[])));
CREATE POLICY written ON workflow_templates FOR INSERT TO ledger_application
    WITH CHECK (
        drive_id = ANY ((SELECT drives_with_access('write'))::uuid[]) AND created_by = (SELECT acting_user()));
CREATE POLICY changed_by_creator_or_administrator ON workflow_templates FOR UPDATE TO ledger_application
    USING (
        drive_id = ANY ((SELECT drives_with_access('write'))::uuid[])
        AND (created_by = (SELECT acting_user())
            OR drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[])));
CREATE POLICY deleted_by_creator_or_administrator ON workflow_templates FOR DELETE TO ledger_application
    USING (
        drive_id = ANY ((SELECT drives_with_access('write'))::uuid[])
        AND (created_by = (SELECT acting_user())
            OR drive_id = ANY ((SELECT drives_with_access('administer'))::uuid[])));
CREATE POLICY every_drive ON workflow_templates TO ledger_archiver, ledger_service USING (true) WITH CHECK (true);

DO $$
DECLARE
    part text;
    changeable CONSTANT text := '
        EXISTS (SELECT FROM ledger.workflow_templates t WHERE t.id = template_id
            AND t.drive_id = ANY ((SELECT ledger.drives_with_access(''write''))::uuid[])
            AND (t.created_by = (SELECT ledger.acting_user())
                OR t.drive_id = ANY ((SELECT ledger.drives_with_access(''administer''))::uuid[])))';
BEGIN
    FOREACH part IN ARRAY ARRAY['workflow_template_versions', 'workflow_template_steps'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
        -- The subquery sees what the templates' own policy lets through.
        EXECUTE format(
            'CREATE POLICY of_readable_templates ON %I FOR SELECT TO ledger_reader, ledger_application
             USING (EXISTS (SELECT FROM ledger.workflow_templates t WHERE t.id = template_id))', part);
        EXECUTE format(
            'CREATE POLICY written ON %I FOR INSERT TO ledger_application WITH CHECK (%s)', part,
            -- A version says who made it.
            changeable || CASE part WHEN 'workflow_template_versions'
                THEN ' AND coalesce(created_by = (SELECT ledger.acting_user()), true)' ELSE '' END);
        EXECUTE format(
            'CREATE POLICY every_drive ON %I TO ledger_archiver, ledger_service USING (true) WITH CHECK (true)', part);
    END LOOP;
    EXECUTE format('CREATE POLICY changed ON workflow_template_steps FOR UPDATE TO ledger_application USING (%s)', changeable);
    EXECUTE format('CREATE POLICY deleted ON workflow_template_steps FOR DELETE TO ledger_application USING (%s)', changeable);
END $$;

SELECT log_changes_of('workflow_templates');
SELECT protect_rows_from_truncate('workflow_templates'), protect_rows_from_truncate('workflow_template_steps');
