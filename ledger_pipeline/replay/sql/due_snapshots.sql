-- Executions, all or of those that moved, that passed a multiple of N events since their newest snapshot of this
-- reducer, week by week.
SELECT
    h.id AS execution_id,
    h.last_sequence - h.last_sequence %% %(every)s AS due,
    coalesce(s.sequence, 0) AS start,
    h.first_week,
    h.last_week
FROM execution_heads h
LEFT JOIN LATERAL (
    SELECT max(n.sequence) AS sequence
    FROM execution_snapshots n
    WHERE n.execution_id = h.id AND n.reducer_version = %(reducer_version)s
) s ON true
WHERE (%(moved)s::uuid[] IS NULL OR h.id = ANY (%(moved)s::uuid[]))
    AND h.pruned_at IS NULL
    AND NOT EXISTS (SELECT FROM removed_segments r WHERE r.execution_id = h.id)
    AND h.last_sequence >= %(every)s
    AND h.last_sequence - h.last_sequence %% %(every)s > coalesce(s.sequence, 0)
ORDER BY h.last_week, h.id
