-- Who did what an event tells: a session that acts for a user says so, and nobody else's name.

CREATE FUNCTION refuse_false_operators(given append_staging[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = ledger, pg_temp AS $$
-- Refuses a batch that names another user as its operator than the session acts for. Of append, after
-- refuse_foreign_drives(): costs the service nothing, and others one look at each of a batch's few operators.
DECLARE
    actor uuid;
    readable uuid[];
    wrong text;
BEGIN
    IF sees_every_drive() THEN
        RETURN;
    END IF;
    actor := acting_user();
    readable := drives_with_access('read');
    SELECT c.problem INTO wrong
    FROM (
        SELECT CASE
            -- An id without a kind counts as a user's: projections show the id alone.
            WHEN coalesce(s.kind, 'user') = 'user' AND s.id <> actor::text THEN format(
                '%s: %L is not the user for whom this session acts; allowed: %s, or another %s', s.field, s.id, actor, s.kind_field)
            WHEN s.kind = 'system' AND EXISTS (SELECT FROM users u WHERE u.database_login = session_user::text) THEN
                format('%s: system is not for a person''s own login; allowed: user, agent', s.kind_field)
            -- Nor may a user's id stand where an agent's belongs.
            WHEN s.kind IN ('agent', 'system') AND s.id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' AND NOT EXISTS (
                SELECT FROM agents a WHERE a.id = s.id::uuid AND (a.drive_id = ANY (readable) OR EXISTS (
                    SELECT FROM workflow_executions x WHERE x.agent_id = a.id AND x.drive_id = ANY (readable))))
            THEN format('%s: there is no agent %s that you may name', s.field, s.id)
        END AS problem
        FROM (
            SELECT DISTINCT 'operator_id' AS field, 'operator_kind' AS kind_field, g.operator_id AS id, g.operator_kind AS kind
            FROM unnest(given) g
            UNION ALL
            SELECT 'triggered_by', 'triggered_by_kind', g.triggered_by, g.triggered_by_kind
            FROM unnest(given) g
            WHERE g.event_type = 'WorkflowCreated'
                -- A child may go on in the name of whoever triggered its parent.
                AND NOT EXISTS (
                    SELECT FROM workflow_executions x
                    WHERE x.id = g.parent_execution_id AND x.drive_id = ANY (readable)
                        AND x.triggered_by = g.triggered_by
                        AND x.triggered_by_kind::text IS NOT DISTINCT FROM g.triggered_by_kind)
        ) s
    ) c
    WHERE c.problem IS NOT NULL
    LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LG007', MESSAGE = wrong;
    END IF;
END $$;
