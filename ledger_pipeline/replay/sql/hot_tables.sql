-- The tables that may hold hot events, by week and by the table of their type, with their size; by name, because the
-- leaves of a week are what its name says.
SELECT
    to_date(right(leaf.relname::text, 8), 'YYYYMMDD') AS week,
    type_table.relname::text AS table_name,
    pg_relation_size(leaf.oid) AS bytes
FROM pg_inherits AS of_type
JOIN pg_class AS type_table ON type_table.oid = of_type.inhrelid
JOIN pg_inherits AS of_leaf ON of_leaf.inhparent = of_type.inhrelid
JOIN pg_class AS leaf ON leaf.oid = of_leaf.inhrelid
WHERE of_type.inhparent = 'workflow_events'::regclass AND pg_relation_size(leaf.oid) > 0
ORDER BY week, table_name
