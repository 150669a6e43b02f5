-- Every execution is counted once, by how it ended or as unfinished.
SELECT counted.executions, made.executions AS all_executions, counted.unfinished, made.unfinished AS all_unfinished
FROM (
    SELECT coalesce(sum(executions), 0) AS executions, coalesce(sum(unfinished), 0) AS unfinished
    FROM marts.cost_by_template_version
) AS counted
CROSS JOIN (
    SELECT count(*) AS executions, count(*) FILTER (WHERE ended_at IS NULL) AS unfinished
    FROM marts.executions
) AS made
WHERE counted.executions <> made.executions OR counted.unfinished <> made.unfinished;
