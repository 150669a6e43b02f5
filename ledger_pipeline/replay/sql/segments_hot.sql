-- One row for each execution of a hot week, a literal, so that the planner looks at its leaves only: what its neighbours need to check the chain, and its first bad event.
WITH chained AS (
    SELECT
        e.event_id, e.execution_id, e.sequence, e.leaf, e.hash,
        e.leaf IS DISTINCT FROM leaf(e) OR (/*foreign*/) AS altered,
        lag(e.hash) OVER execution AS previous_hash,
        lag(e.sequence) OVER execution AS previous_sequence,
        lead(e.sequence) OVER execution AS next_sequence
    FROM workflow_events e
    WHERE e.week = {week}
    WINDOW execution AS (PARTITION BY e.execution_id ORDER BY e.sequence)
),
judged AS (
    SELECT
        *,
        CASE
            WHEN altered THEN 'altered'
            WHEN sequence <> previous_sequence + 1 THEN 'gap'
            WHEN hash IS DISTINCT FROM sha256(previous_hash || leaf) AND previous_hash IS NOT NULL THEN 'unchained'
        END AS fault
    FROM chained
)
SELECT
    execution_id::text AS execution_id,
    count(*) AS events,
    min(sequence) AS first_sequence,
    max(sequence) AS last_sequence,
    (array_agg(event_id::text) FILTER (WHERE previous_sequence IS NULL))[1] AS first_event,
    (array_agg(event_id::text) FILTER (WHERE next_sequence IS NULL))[1] AS last_event,
    (array_agg(leaf) FILTER (WHERE previous_sequence IS NULL))[1] AS first_leaf,
    (array_agg(hash) FILTER (WHERE previous_sequence IS NULL))[1] AS first_hash,
    (array_agg(hash) FILTER (WHERE next_sequence IS NULL))[1] AS last_hash,
    min(sequence) FILTER (WHERE fault IS NOT NULL) AS bad_sequence,
    (array_agg(event_id::text ORDER BY sequence) FILTER (WHERE fault IS NOT NULL))[1] AS bad_event,
    (array_agg(fault ORDER BY sequence) FILTER (WHERE fault IS NOT NULL))[1] AS fault
FROM judged
GROUP BY execution_id
