DROP TABLE workflow_template_steps, workflow_template_versions, workflow_templates;
DROP FUNCTION keep_template_version(), delete_executions_of_templates(), forget_template_steps(), is_forgotten(uuid);
DROP TABLE forgotten_references;
