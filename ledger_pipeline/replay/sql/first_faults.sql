-- The first bad event of each execution: inside its weeks, between them, or against its head.
WITH linked AS (
    SELECT
        *,
        coalesce(lag(last_sequence) OVER execution, 0) AS previous_sequence,
        coalesce(lag(last_hash) OVER execution, unhex(repeat('00', 32))) AS previous_hash,
        lead(week) OVER execution IS NULL AS newest
    FROM segments
    WINDOW execution AS (PARTITION BY execution_id ORDER BY week)
),
faults AS (
    SELECT execution_id, bad_sequence AS sequence, 1 AS rank, bad_event AS event_id, fault, NULL::BIGINT AS other
    FROM linked
    WHERE fault IS NOT NULL
    UNION ALL
    SELECT execution_id, first_sequence, 0, first_event, 'gap', previous_sequence
    FROM linked
    WHERE first_sequence <> previous_sequence + 1
    UNION ALL
    SELECT execution_id, first_sequence, 2, first_event, 'unchained', NULL
    FROM linked
    WHERE first_sequence = previous_sequence + 1
        AND first_hash IS DISTINCT FROM unhex(sha256(previous_hash || first_leaf))
    UNION ALL
    SELECT l.execution_id, l.last_sequence, 3, l.last_event, 'no head', NULL
    FROM linked l
    LEFT JOIN heads h USING (execution_id)
    WHERE l.newest AND h.execution_id IS NULL
    UNION ALL
    SELECT l.execution_id, l.last_sequence, 4, l.last_event, 'head', h.last_sequence
    FROM linked l
    JOIN heads h USING (execution_id)
    WHERE l.newest AND (l.last_sequence <> h.last_sequence OR l.last_hash IS DISTINCT FROM h.head_hash)
    UNION ALL
    SELECT h.execution_id, 0, 5, NULL, 'gone', h.last_sequence
    FROM heads h
    LEFT JOIN linked l USING (execution_id)
    WHERE l.execution_id IS NULL
)
SELECT execution_id, sequence, event_id, fault, other
FROM faults
QUALIFY row_number() OVER (PARTITION BY execution_id ORDER BY sequence, rank) = 1
ORDER BY execution_id
