-- The weeks that have leaves, oldest first; by name, because the leaves of a week are what its name says.
SELECT DISTINCT to_date(right(leaf.relname::text, 8), 'YYYYMMDD') AS week
FROM pg_inherits AS of_type
JOIN pg_inherits AS of_leaf ON of_leaf.inhparent = of_type.inhrelid
JOIN pg_class AS leaf ON leaf.oid = of_leaf.inhrelid
WHERE of_type.inhparent = 'workflow_events'::regclass
ORDER BY week
