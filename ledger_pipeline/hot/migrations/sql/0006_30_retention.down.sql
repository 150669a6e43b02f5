-- What was removed, and what must be kept, must not be forgotten.
DO $$
BEGIN
    IF EXISTS (SELECT FROM removed_weeks) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG005',
            MESSAGE = 'the downgrade would lose which weeks were removed under retention; nothing was changed';
    END IF;
    IF EXISTS (SELECT FROM legal_holds WHERE lifted_at IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG005',
            MESSAGE = 'the downgrade would lose legal holds that stand: lift them first; nothing was changed';
    END IF;
END $$;

DROP FUNCTION remove_week(date, integer, timestamptz, text, text, json, uuid[], uuid[], text);
DROP FUNCTION removal_obstacles(date, integer, timestamptz, uuid[], uuid[], uuid[]);
DROP FUNCTION lift_hold(uuid, text, text);
DROP FUNCTION place_hold(text, uuid, text, text);
DROP FUNCTION cold_files(date, date, uuid);
DROP FUNCTION removal_text(removed_weeks);
DROP FUNCTION removed_segments_hash(date);
DROP TRIGGER in_tree ON removed_weeks;
DROP FUNCTION tree_text(removed_weeks);
DROP TABLE removed_segments;
DROP TABLE removed_weeks;
DROP TABLE legal_holds;
DROP FUNCTION keep_hold();
ALTER TABLE tree_leaves DROP CONSTRAINT tree_leaves_kind_check;
ALTER TABLE tree_leaves ADD CONSTRAINT tree_leaves_kind_check CHECK (kind IN ('checkpoint', 'week', 'epoch'));

CREATE FUNCTION cold_files(p_first date, p_last date, p_execution_id uuid DEFAULT NULL)
RETURNS TABLE (week date, schema_version integer, files jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    -- The files of the committed weeks between two Mondays, either NULL for no bound, oldest first: name, SHA-256 and
    -- size, without counts and ids, which are of every drive. Of an execution, which the session must be able to read:
    -- those that may hold events of it.
    SELECT m.week, m.schema_version, coalesce((
        SELECT jsonb_agg(jsonb_build_object('name', f.file -> 'name', 'sha256', f.file -> 'sha256', 'bytes', f.file -> 'bytes')
            ORDER BY f.nth)
        FROM jsonb_array_elements(m.files) WITH ORDINALITY AS f (file, nth)
        WHERE p_execution_id IS NULL
            OR p_execution_id::text COLLATE "C" BETWEEN f.file ->> 'first_execution_id' AND f.file ->> 'last_execution_id'
    ), '[]')
    FROM archive_manifest m
    WHERE m.state = 'committed'
        AND m.week BETWEEN coalesce(p_first, '-infinity') AND coalesce(p_last, 'infinity')
        AND (p_execution_id IS NULL
            OR pg_has_role(session_user, 'ledger_archiver', 'USAGE') OR pg_has_role(session_user, 'ledger_owner', 'USAGE')
            OR EXISTS (SELECT FROM workflow_executions x
                WHERE x.id = p_execution_id AND x.drive_id = ANY (drives_with_access('read')))
            OR EXISTS (SELECT FROM execution_heads h
                WHERE h.id = p_execution_id AND h.pruned_drive_id = ANY (drives_with_access('read'))))
    ORDER BY m.week
$$;

REVOKE ALL ON FUNCTION cold_files(date, date, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cold_files(date, date, uuid) TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
