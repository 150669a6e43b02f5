-- Every execution on behalf of a user is counted.
SELECT summary.executions, counted.executions AS all_executions
FROM (SELECT coalesce(sum(total_executions), 0) AS executions FROM marts.user_workflow_summary) AS summary
CROSS JOIN (SELECT count(*) AS executions FROM marts.executions WHERE user_id IS NOT NULL) AS counted
WHERE summary.executions <> counted.executions;
