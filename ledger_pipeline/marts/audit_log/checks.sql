-- Sequences of an execution run from 1 without a gap.
SELECT execution_id, min(sequence) AS first_sequence, max(sequence) AS last_sequence, count(*) AS events
FROM staging.events
GROUP BY execution_id
HAVING min(sequence) <> 1 OR max(sequence) <> count(*);
-- The events of a closed batch have the places from 0 on without a gap.
SELECT checkpoint, count(*) AS events, min(batch_index) AS first_index, max(batch_index) AS last_index
FROM marts.audit_log
WHERE checkpoint IS NOT NULL
GROUP BY checkpoint
HAVING min(batch_index) <> 0 OR max(batch_index) <> count(*) - 1;
