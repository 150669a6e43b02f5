SELECT {columns} FROM read_parquet($files, hive_partitioning = false)
WHERE execution_kind = 'workflow'
    AND (event_type IN ('WorkflowFailed', 'WorkflowTimedOut', 'ExecutionAborted')
        OR event_type = 'LogRecorded' AND log_level = 'error'){conditions}
ORDER BY week DESC, occurred_at DESC, execution_id DESC, sequence DESC
LIMIT $rows
