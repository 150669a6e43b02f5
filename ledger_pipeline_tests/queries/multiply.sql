-- Copies every execution with its rows and events `copies` times, under ids of their own.
SET session_replication_role = replica;
SET synchronous_commit = off;
SET jit = off;
SET maintenance_work_mem = '256MB';
-- What was judged once needs no judging of its copies.
ALTER TABLE workflow_events DROP CONSTRAINT workflow_events_envelope;
DO $$
DECLARE
    shape record;
BEGIN
    FOR shape IN
        SELECT c.conrelid::regclass AS of_type, c.conname FROM pg_constraint c
        JOIN pg_partition_tree('workflow_events') t ON t.relid = c.conrelid AND t.level = 1
        WHERE c.contype = 'c' AND c.coninhcount = 0
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', shape.of_type, shape.conname);
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.other(id uuid, nth integer) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5(id::text || nth)::uuid;

-- Indexes are dropped and made again at the end: filling them row by row takes longer than all else.
CREATE TEMPORARY TABLE dropped_indexes AS
SELECT i.indexrelid::regclass AS name, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS definition
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
JOIN pg_partition_tree('workflow_events') t ON t.relid = i.indrelid AND NOT t.isleaf;
DO $$
DECLARE
    index regclass;
BEGIN
    FOR index IN SELECT name FROM dropped_indexes LOOP
        EXECUTE format('DROP INDEX %s', index);
    END LOOP;
END $$;

INSERT INTO execution_heads
SELECT h.*
FROM execution_heads o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', pg_temp.other(o.id, nth))) AS h;

INSERT INTO workflow_executions
SELECT x.*
FROM workflow_executions o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', pg_temp.other(o.id, nth),
    'started_at', o.started_at + nth * interval '1 second', 'events', '[]'::jsonb)) AS x;

INSERT INTO workflow_steps
SELECT s.*
FROM workflow_steps o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', pg_temp.other(o.id, nth),
    'execution_id', pg_temp.other(o.execution_id, nth))) AS s;

INSERT INTO executions
SELECT c.*
FROM executions o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', pg_temp.other(o.id, nth),
    'execution_id', pg_temp.other(o.execution_id, nth), 'events', '[]'::jsonb)) AS c;

INSERT INTO workflow_artifacts
SELECT a.*
FROM workflow_artifacts o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', pg_temp.other(o.id, nth),
    'execution_id', pg_temp.other(o.execution_id, nth))) AS a;

INSERT INTO workflow_approvals
SELECT a.*
FROM workflow_approvals o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('id', pg_temp.other(o.id, nth),
    'execution_id', pg_temp.other(o.execution_id, nth))) AS a;

INSERT INTO execution_log
SELECT l.*
FROM execution_log o
CROSS JOIN generate_series(2, copies) AS nth
CROSS JOIN LATERAL jsonb_populate_record(o, jsonb_build_object('execution_id', pg_temp.other(o.execution_id, nth))) AS l;

INSERT INTO workflow_templates (id, drive_id, created_by, name, version, current_version, status)
SELECT pg_temp.other(d.id, nth), d.id, u.id, 'template_' || nth, '1.0.0', 1, 'active'
FROM drives d
CROSS JOIN generate_series(1, 1000) AS nth
LEFT JOIN (SELECT array_agg(id) AS ids FROM users) e ON true
CROSS JOIN LATERAL (SELECT e.ids[1 + nth % cardinality(e.ids)] AS id) u;

INSERT INTO workflow_template_steps (template_id, version, path, step_order, name, type, config)
SELECT t.id, 1, nth::text, nth, 'step', 'action', '{}'
FROM workflow_templates t
CROSS JOIN generate_series(0, 4) AS nth
WHERE t.name ~ '^template_\d+$';

INSERT INTO workflow_events (/*columns*/)
SELECT /*values*/
FROM workflow_events
CROSS JOIN generate_series(2, copies) AS nth;

DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN SELECT d.definition FROM dropped_indexes d LOOP
        EXECUTE definition;
    END LOOP;
END $$;
