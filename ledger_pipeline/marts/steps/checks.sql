-- by key: Every planned position of a workflow execution has its row.
SELECT plan.execution_id, plan.step_id
FROM staging.plan_steps AS plan
LEFT JOIN marts.steps AS step ON plan.step_id = step.step_id AND plan.execution_id = step.execution_id
WHERE plan.execution_kind = 'workflow' AND step.step_id IS NULL;

-- by key: A step that ended has its time of ending, one that did not has none.
SELECT step_id, status, completed_at
FROM marts.steps
WHERE (status IN ('completed', 'failed', 'skipped')) <> (completed_at IS NOT NULL);
