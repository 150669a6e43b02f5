DROP FUNCTION prune_executions(date, integer, bigint, integer);
DROP FUNCTION prunable_executions(date, integer, bigint);
DROP FUNCTION prune_horizon(date, integer, bigint);
DROP INDEX execution_heads_prunable;
