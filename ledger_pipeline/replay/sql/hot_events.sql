-- The hot events of many executions, each from after one sequence up to another. Weeks are literals, so that the planner looks at their
-- leaves only.
SELECT /*columns*/
FROM workflow_events e
JOIN unnest(%(ids)s::uuid[], %(after)s::bigint[], %(upto)s::bigint[]) AS wanted (id, after, upto)
    ON e.execution_id = wanted.id AND e.sequence > wanted.after AND e.sequence <= wanted.upto
WHERE e.week BETWEEN {first_week} AND {last_week}
ORDER BY e.execution_id, e.sequence
