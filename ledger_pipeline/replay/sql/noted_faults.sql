-- The executions whose last event of a batch is not the one that was noted, or that have more of them than were noted;
-- of each, the first batch.
WITH ends AS (
    SELECT execution_id, max(last_sequence) AS last_sequence FROM segments GROUP BY execution_id
),
now AS (
    SELECT c.n AS batch, f.execution_id, max(f.sequence) AS sequence
    FROM feed f
    JOIN doubtful c ON f.epoch = c.epoch AND f.tx >= c.first_tx AND f.tx < c.end_tx
    GROUP BY c.n, f.execution_id
),
faults AS (
    SELECT n.batch, n.execution_id, n.sequence, p.event_id, ends.last_sequence AS other,
        CASE
            WHEN ends.last_sequence IS NULL THEN 'gone'
            WHEN p.hash IS NULL THEN 'truncated'
            ELSE 'rewritten'
        END AS fault
    FROM noted n
    LEFT JOIN present p USING (execution_id, sequence)
    LEFT JOIN ends USING (execution_id)
    WHERE p.hash IS DISTINCT FROM n.hash
    UNION ALL
    SELECT now.batch, now.execution_id, now.sequence, NULL, n.sequence, 'inserted'
    FROM now
    LEFT JOIN noted n USING (batch, execution_id)
    WHERE now.sequence > coalesce(n.sequence, 0)
        -- Of a batch without a record nothing is known.
        AND now.batch IN (SELECT batch FROM noted)
)
SELECT batch, execution_id, sequence, event_id, fault, other
FROM faults
QUALIFY row_number() OVER (PARTITION BY execution_id ORDER BY batch) = 1
ORDER BY batch, execution_id
