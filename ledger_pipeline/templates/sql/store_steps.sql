INSERT INTO workflow_template_steps (
    id, template_id, version, path, step_order, name, type, title, agent_id, prompt_template, tool_name, config,
    requires_user_input, input_schema, metadata
)
SELECT
    coalesce(s.id, uuidv7()), %(template_id)s, %(number)s, s.path, s.step_order, s.name, s.type, s.title, s.agent_id,
    s.prompt_template, s.tool_name, s.config, coalesce(s.requires_user_input, false), s.input_schema,
    coalesce(s.metadata, '{}')
FROM jsonb_to_recordset(%(steps)s) AS s (
    id uuid, path text, step_order integer, name text, type step_type, title text, agent_id text,
    prompt_template text, tool_name text, config jsonb, requires_user_input boolean, input_schema jsonb, metadata jsonb
)
ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, path = excluded.path, step_order = excluded.step_order, name = excluded.name,
    type = excluded.type, title = excluded.title, agent_id = excluded.agent_id,
    prompt_template = excluded.prompt_template, tool_name = excluded.tool_name, config = excluded.config,
    requires_user_input = excluded.requires_user_input, input_schema = excluded.input_schema,
    metadata = excluded.metadata
