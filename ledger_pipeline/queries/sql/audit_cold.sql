SELECT {columns} FROM read_parquet($files, hive_partitioning = false)
WHERE execution_kind = 'workflow'{conditions}
ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
LIMIT $rows
