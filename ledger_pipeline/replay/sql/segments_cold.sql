-- The same as segments_hot.sql over the files of rolled weeks, in DuckDB; `files` says which week each file is of.
WITH chained AS (
    SELECT
        files.file_week, event_id, execution_id, sequence, leaf, hash,
        leaf IS DISTINCT FROM unhex(/*leaf*/) OR week <> files.file_week OR (/*foreign*/) AS altered,
        lag(hash) OVER execution AS previous_hash,
        lag(sequence) OVER execution AS previous_sequence,
        lead(sequence) OVER execution AS next_sequence
    FROM read_parquet($names, filename = true, hive_partitioning = false) e
    JOIN files ON files.file_name = e.filename
    WINDOW execution AS (PARTITION BY files.file_week, execution_id ORDER BY sequence)
),
judged AS (
    SELECT
        *,
        CASE
            WHEN altered THEN 'altered'
            WHEN sequence <> previous_sequence + 1 THEN 'gap'
            WHEN hash IS DISTINCT FROM unhex(sha256(previous_hash || leaf)) AND previous_hash IS NOT NULL THEN 'unchained'
        END AS fault
    FROM chained
)
INSERT INTO segments
SELECT
    file_week,
    execution_id,
    count(*),
    min(sequence),
    max(sequence),
    arg_min(event_id, sequence),
    arg_max(event_id, sequence),
    arg_min(leaf, sequence),
    arg_min(hash, sequence),
    arg_max(hash, sequence),
    min(sequence) FILTER (WHERE fault IS NOT NULL),
    arg_min(event_id, sequence) FILTER (WHERE fault IS NOT NULL),
    arg_min(fault, sequence) FILTER (WHERE fault IS NOT NULL)
FROM judged
GROUP BY file_week, execution_id
