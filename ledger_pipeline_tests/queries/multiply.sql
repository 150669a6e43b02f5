-- Makes `copies` of every row of some tables, for each execution under ids of its own.
SET session_replication_role = replica;
SET synchronous_commit = off;
SET jit = off;
SET maintenance_work_mem = '256MB';

-- Each table with the expressions of what differs in a copy, beside its ids.
CREATE TEMPORARY TABLE multiplied AS
SELECT name::regclass, differing::jsonb
FROM (VALUES
    ('execution_heads', '{}'),
    ('workflow_executions', $${"started_at": "started_at + nth * interval '1 second'", "events": "'[]'"}$$),
    ('workflow_steps', '{}'),
    ('executions', $${"events": "'[]'"}$$),
    ('workflow_artifacts', '{}'),
    ('workflow_approvals', '{}'),
    ('execution_log', '{}'),
    ('workflow_events', $${"occurred_at": "occurred_at + nth * interval '1 second'", "payload": "'{}'"}$$)
) AS t (name, differing)
WHERE name IN (/*tables*/);

-- What was judged once needs no judging of its copies.
DO $$
DECLARE
    shape record;
BEGIN
    FOR shape IN
        SELECT c.conrelid::regclass AS of_type, c.conname FROM pg_constraint c
        JOIN (SELECT t.* FROM multiplied m CROSS JOIN pg_partition_tree(m.name) t) t ON t.relid = c.conrelid AND t.level < 2
        WHERE c.contype = 'c' AND c.coninhcount = 0 AND 'workflow_events'::regclass IN (SELECT m.name FROM multiplied m)
        ORDER BY t.level
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', shape.of_type, shape.conname);
    END LOOP;
END $$;

-- Indexes are dropped and made again at the end: filling them row by row takes longer than all else.
CREATE TEMPORARY TABLE dropped_indexes AS
SELECT i.indexrelid::regclass AS name, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
JOIN (
    SELECT t.relid FROM multiplied m CROSS JOIN pg_partition_tree(m.name) t WHERE NOT t.isleaf OR t.level = 0
) t ON t.relid = i.indrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid);
DO $$
DECLARE
    index regclass;
BEGIN
    FOR index IN SELECT name FROM dropped_indexes LOOP
        EXECUTE format('DROP INDEX %s', index);
    END LOOP;
END $$;

CREATE FUNCTION pg_temp.other(id uuid, nth integer) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5(id::text || nth)::uuid;
DO $$
DECLARE
    copy text;
BEGIN
    FOR copy IN
        SELECT format(
            'INSERT INTO %s (%s) SELECT %s FROM %1$s CROSS JOIN generate_series(2, copies) AS nth',
            m.name,
            string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
            string_agg(
                CASE WHEN a.attname IN ('id', 'event_id', 'execution_id') THEN format('pg_temp.other(%I, nth)', a.attname)
                    ELSE coalesce(m.differing ->> a.attname, quote_ident(a.attname)) END,
                ', ' ORDER BY a.attnum))
        FROM multiplied m
        JOIN pg_attribute a ON a.attrelid = m.name AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        GROUP BY m.name
    LOOP
        EXECUTE copy;
    END LOOP;
END $$;

DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN SELECT d.definition FROM dropped_indexes d LOOP
        EXECUTE definition;
    END LOOP;
END $$;
