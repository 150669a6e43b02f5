SELECT {columns} FROM read_parquet($files)
WHERE execution_kind = 'workflow'{conditions}
ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
LIMIT $rows
