-- by key: Sequences of an execution run from 1 without a gap.
SELECT execution_id, min(sequence) AS first_sequence, max(sequence) AS last_sequence, count(*) AS events
FROM staging.events
GROUP BY execution_id
HAVING min(sequence) <> 1 OR max(sequence) <> count(*);
-- by key: Each event of a closed batch has a place of its own in it, which all of its events get in one build.
SELECT checkpoint, count(*) AS events, count(DISTINCT batch_index) AS places
FROM marts.audit_log
WHERE checkpoint IS NOT NULL
GROUP BY checkpoint
HAVING count(*) <> count(DISTINCT batch_index) OR min(batch_index) < 0;
