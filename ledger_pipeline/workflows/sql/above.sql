-- An execution and those that it was started from, with the template of each.
WITH RECURSIVE above AS (
    SELECT id, template_id, parent_execution_id FROM workflow_executions WHERE id = %s
    UNION
    SELECT x.id, x.template_id, x.parent_execution_id
    FROM above a
    JOIN workflow_executions x ON x.id = a.parent_execution_id
)
SELECT template_id FROM above WHERE template_id IS NOT NULL
