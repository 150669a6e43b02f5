-- Sequences of an execution run from 1 without a gap.
SELECT execution_id, min(sequence) AS first_sequence, max(sequence) AS last_sequence, count(*) AS events
FROM staging.events
GROUP BY execution_id
HAVING min(sequence) <> 1 OR max(sequence) <> count(*);
