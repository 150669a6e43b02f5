-- The same as hot_events.sql over files, in DuckDB; times as microseconds, which Python reads faster.
SELECT /*columns*/
FROM read_parquet($files, hive_partitioning = false) e
JOIN wanted
    ON e.execution_id = wanted.id AND e.sequence > wanted.after AND e.sequence <= wanted.upto
ORDER BY e.execution_id, e.sequence
