-- The only write path of events: checks a batch against the state machine, numbers, hashes and stores it, and moves
-- heads and projections, all in the caller's transaction. Set-based: one event and fifty thousand take the same way.

CREATE FUNCTION stripe(execution_id uuid) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- 1,024 lock keys: one per execution would exhaust the lock table.
RETURN get_byte(uuid_send(execution_id), 15) + 256 * (get_byte(uuid_send(execution_id), 14) & 3);

CREATE FUNCTION marked(at bigint, status text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Sorts by position and carries the status: max() over it is the last status, as last_value … IGNORE NULLS would be.
RETURN (lpad(at::text, 19, '0') || status) COLLATE "C";

CREATE FUNCTION chain_step(previous bytea, before_batch bytea, leaf bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN sha256(coalesce(previous, before_batch) || leaf);
END $$;

CREATE AGGREGATE chain_hash(before_batch bytea, leaf bytea) (SFUNC = chain_step, STYPE = bytea);

CREATE FUNCTION leaf(e workflow_events) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN sha256(convert_to(canonical_text(e), 'UTF8'));

CREATE FUNCTION planned_steps(event_type text, payload json)
RETURNS TABLE (
    step_id uuid, parent_step_id uuid, path text, step_order integer, step_name text, step_type text,
    agent_id uuid, agent_name text, template_step_id uuid, max_attempts integer, config jsonb, metadata jsonb
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT
        p.step_id, p.parent_step_id, p.path, p.step_order, p.step_name, coalesce(p.step_type, 'action'),
        p.agent_id, p.agent_name, p.template_step_id, coalesce(p.max_attempts, 1), coalesce(p.config, '{}'),
        coalesce(p.metadata, '{}')
    FROM json_to_recordset(
        CASE
            WHEN event_type = 'WorkflowCreated' AND json_typeof(payload -> 'plan') = 'array' THEN payload -> 'plan'
            WHEN event_type = 'IterationStarted' AND json_typeof(payload -> 'steps') = 'array' THEN payload -> 'steps'
            WHEN event_type = 'StepDispatched' AND json_typeof(payload -> 'plan_entry') = 'object'
                THEN json_build_array(payload -> 'plan_entry')
            ELSE '[]'
        END
    ) AS p (
        step_id uuid, parent_step_id uuid, path text, step_order integer, step_name text, step_type text,
        agent_id uuid, agent_name text, template_step_id uuid, max_attempts integer, config jsonb, metadata jsonb
    )
$$;

CREATE FUNCTION is_uuid(given text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(given ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', false);

CREATE FUNCTION plan_fault(member text, entries jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = ledger, pg_temp AS $$
    -- The first fault of a list of plan entries; the same rules as the catalogue's PlanStep.
    SELECT CASE
        WHEN entries IS NULL THEN NULL
        WHEN jsonb_typeof(entries) <> 'array' THEN format('payload.%s: must be a list of plan entries', member)
        ELSE (
            SELECT format('payload.%s[%s]%s', member, e.nth - 1, e.fault)
            FROM (
                SELECT e.nth, CASE
                    WHEN jsonb_typeof(e.entry) <> 'object' THEN ': must be an object'
                    WHEN NOT is_uuid(e.entry ->> 'step_id') THEN '.step_id: must be a UUID'
                    WHEN coalesce(e.entry ->> 'path', '') !~ '^[0-9]+(/[0-9]+)*$' THEN
                        '.path: must be numbers joined by "/", such as 2/0/1'
                    WHEN coalesce((e.entry -> 'step_order')::text, '') !~ '^[0-9]{1,9}$' THEN
                        '.step_order: must be a whole number, 0 or more'
                    WHEN coalesce(jsonb_typeof(e.entry -> 'step_name'), '') <> 'string' OR e.entry ->> 'step_name' = '' THEN
                        '.step_name: must be a text'
                    WHEN e.entry ? 'step_type' AND coalesce(e.entry ->> 'step_type', '') NOT IN ('action', 'condition', 'workflow_link', 'parallel', 'loop') THEN
                        '.step_type: is not known; allowed: ' || concat_ws(', ', 'action', 'condition', 'workflow_link', 'parallel', 'loop')
                    WHEN e.entry ? 'max_attempts' AND (e.entry -> 'max_attempts')::text !~ '^[1-9][0-9]{0,8}$' THEN
                        '.max_attempts: must be a whole number, 1 or more'
                    WHEN NOT is_uuid(coalesce(e.entry ->> 'parent_step_id', e.entry ->> 'step_id')) THEN
                        '.parent_step_id: must be a UUID'
                    WHEN NOT is_uuid(coalesce(e.entry ->> 'template_step_id', e.entry ->> 'step_id')) THEN
                        '.template_step_id: must be a UUID'
                    WHEN NOT is_uuid(coalesce(e.entry ->> 'agent_id', e.entry ->> 'step_id')) THEN '.agent_id: must be a UUID'
                    WHEN jsonb_typeof(e.entry -> 'agent_name') NOT IN ('string', 'null') THEN '.agent_name: must be a text'
                    WHEN jsonb_typeof(e.entry -> 'config') <> 'object' THEN '.config: must be an object'
                    WHEN jsonb_typeof(e.entry -> 'metadata') <> 'object' THEN '.metadata: must be an object'
                END AS fault
                FROM jsonb_array_elements(entries) WITH ORDINALITY AS e (entry, nth)
            ) e
            WHERE e.fault IS NOT NULL
            ORDER BY e.nth
            LIMIT 1
        )
    END
$$;

CREATE FUNCTION payload_fault(event_type text, payload jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- What the event's class would refuse of its payload: the fold and the projections must read the same.
RETURN CASE
    WHEN jsonb_typeof(payload) <> 'object' THEN 'payload: must be a JSON object'
    ELSE CASE event_type
        WHEN 'WorkflowCreated' THEN coalesce(
            plan_fault('plan', payload -> 'plan'),
            CASE WHEN jsonb_typeof(payload -> 'input') <> 'object' THEN 'payload.input: must be an object' END,
            CASE WHEN jsonb_typeof(payload -> 'parameters') <> 'object' THEN 'payload.parameters: must be an object' END,
            CASE WHEN jsonb_typeof(payload -> 'trigger_context') <> 'object' THEN 'payload.trigger_context: must be an object' END,
            CASE WHEN jsonb_typeof(payload -> 'metadata') <> 'object' THEN 'payload.metadata: must be an object' END)
        WHEN 'WorkflowFailed' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'error_details') <> 'object' THEN 'payload.error_details: must be an object' END)
        WHEN 'StepDispatched' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'config') <> 'object' THEN 'payload.config: must be an object' END,
            plan_fault('plan_entry', CASE WHEN jsonb_typeof(payload -> 'plan_entry') <> 'null' THEN jsonb_build_array(payload -> 'plan_entry') END))
        WHEN 'StepFailed' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'error_details') <> 'object' THEN 'payload.error_details: must be an object' END)
        WHEN 'IterationStarted' THEN coalesce(
            plan_fault('steps', payload -> 'steps'))
        WHEN 'InputRequested' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'input_schema') <> 'object' THEN 'payload.input_schema: must be an object' END)
        WHEN 'ApprovalRequested' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'details') <> 'object' THEN 'payload.details: must be an object' END)
        WHEN 'TokensUpdated' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'metadata') <> 'object' THEN 'payload.metadata: must be an object' END)
        WHEN 'ContextUpdated' THEN coalesce(
            CASE WHEN coalesce(jsonb_typeof(payload -> 'patch'), 'missing') <> 'object' THEN 'payload.patch: must be an object' END)
        WHEN 'ArtifactRecorded' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'metadata') <> 'object' THEN 'payload.metadata: must be an object' END)
        WHEN 'LogRecorded' THEN coalesce(
            CASE WHEN jsonb_typeof(payload -> 'details') <> 'object' THEN 'payload.details: must be an object' END)
    END
END;

CREATE FUNCTION column_rules() RETURNS TABLE (
    nth integer, name text, kind text, types text[], required_by text[], vocabulary text[], minimum text, maximum text,
    allowed text
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- What each column takes that a client gives; NULL where every type has it, or where there is no bound.
    VALUES
        (0, 'event_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (1, 'execution_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (2, 'sequence', 'bigint', NULL, ARRAY[]::text[], NULL, '1', '9223372036854775807', 'a whole number from 1 to 9223372036854775807'),
        (3, 'event_type', 'text', NULL, ARRAY['WorkflowCreated', 'WorkflowStarted', 'WorkflowPaused', 'WorkflowResumed', 'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted', 'StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped', 'BranchTaken', 'IterationStarted', 'ChildExecutionLinked', 'InputRequested', 'InputReceived', 'ApprovalRequested', 'ApprovalApplied', 'TokensUpdated', 'CostRecalculated', 'BudgetExceeded', 'ContextUpdated', 'ArtifactRecorded', 'LogRecorded']::text[], NULL, NULL, NULL, 'WorkflowCreated, WorkflowStarted, WorkflowPaused, WorkflowResumed, WorkflowCompleted, WorkflowFailed, WorkflowCancelled, WorkflowTimedOut, ExecutionAborted, StepDispatched, StepCompleted, StepFailed, StepRetried, StepSkipped, BranchTaken, IterationStarted, ChildExecutionLinked, InputRequested, InputReceived, ApprovalRequested, ApprovalApplied, TokensUpdated, CostRecalculated, BudgetExceeded, ContextUpdated, ArtifactRecorded, LogRecorded'),
        (4, 'event_version', 'integer', NULL, ARRAY[]::text[], NULL, '1', '2147483647', 'a whole number from 1 to 2147483647'),
        (5, 'occurred_at', 'timestamptz', NULL, ARRAY['WorkflowCreated', 'WorkflowStarted', 'WorkflowPaused', 'WorkflowResumed', 'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted', 'StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped', 'BranchTaken', 'IterationStarted', 'ChildExecutionLinked', 'InputRequested', 'InputReceived', 'ApprovalRequested', 'ApprovalApplied', 'TokensUpdated', 'CostRecalculated', 'BudgetExceeded', 'ContextUpdated', 'ArtifactRecorded', 'LogRecorded']::text[], NULL, '1970-01-01 00:00:00+00:00', '9999-01-01 00:00:00+00:00', 'a time with its zone, such as 2026-01-05T09:00:00Z, from 1970 to 9998'),
        (6, 'workflow_name', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (7, 'workflow_type', 'text', NULL, ARRAY[]::text[], ARRAY['cost_analysis', 'performance_tuning', 'resource_optimization', 'quality_check', 'scaling_decision', 'configuration_update', 'health_check', 'anomaly_detection']::text[], NULL, NULL, 'cost_analysis, performance_tuning, resource_optimization, quality_check, scaling_decision, configuration_update, health_check, anomaly_detection'),
        (8, 'template_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (9, 'template_version', 'integer', NULL, ARRAY[]::text[], NULL, '0', '2147483647', 'a whole number from 0 to 2147483647'),
        (10, 'mode', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (11, 'drive_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (12, 'customer_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (13, 'user_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (14, 'agent_id', 'uuid', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (15, 'agent_name', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (16, 'operator_id', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (17, 'operator_kind', 'text', NULL, ARRAY[]::text[], ARRAY['user', 'agent', 'system']::text[], NULL, NULL, 'user, agent, system'),
        (18, 'step_id', 'uuid', NULL, ARRAY['StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped', 'BranchTaken', 'IterationStarted', 'ChildExecutionLinked', 'InputRequested', 'InputReceived']::text[], NULL, NULL, NULL, 'a UUID'),
        (19, 'step_name', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (20, 'call_id', 'uuid', NULL, ARRAY['StepDispatched', 'StepCompleted', 'StepFailed']::text[], NULL, NULL, NULL, 'a UUID'),
        (21, 'attempt', 'integer', NULL, ARRAY[]::text[], NULL, '1', '2147483647', 'a whole number from 1 to 2147483647'),
        (22, 'source', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (23, 'source_file', 'text', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (24, 'source_line', 'bigint', NULL, ARRAY[]::text[], NULL, '1', '9223372036854775807', 'a whole number from 1 to 9223372036854775807'),
        (25, 'execution_kind', 'text', NULL, ARRAY[]::text[], ARRAY['workflow', 'repricing', 'budget']::text[], NULL, NULL, 'workflow, repricing, budget'),
        (26, 'triggered_by', 'text', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (27, 'triggered_by_kind', 'text', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], ARRAY['user', 'agent', 'system']::text[], NULL, NULL, 'user, agent, system'),
        (28, 'parent_execution_id', 'uuid', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (29, 'parent_step_id', 'uuid', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (30, 'retry_of', 'uuid', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (31, 'budget_usd', 'numeric(38,12)', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (32, 'budget_tokens', 'bigint', ARRAY['WorkflowCreated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (33, 'reason', 'text', ARRAY['WorkflowPaused', 'WorkflowResumed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted', 'StepSkipped', 'CostRecalculated']::text[], ARRAY['CostRecalculated']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (34, 'error_code', 'text', ARRAY['WorkflowFailed', 'StepFailed']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (35, 'error_message', 'text', ARRAY['WorkflowFailed', 'StepFailed', 'StepRetried']::text[], ARRAY['WorkflowFailed', 'StepFailed']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (36, 'limit_seconds', 'bigint', ARRAY['WorkflowTimedOut']::text[], ARRAY[]::text[], NULL, '0', '9223372036854775807', 'a whole number from 0 to 9223372036854775807'),
        (37, 'tool_name', 'text', ARRAY['StepDispatched']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (38, 'next_attempt', 'integer', ARRAY['StepRetried']::text[], ARRAY['StepRetried']::text[], NULL, '2', '2147483647', 'a whole number from 2 to 2147483647'),
        (39, 'delay_ms', 'bigint', ARRAY['StepRetried']::text[], ARRAY[]::text[], NULL, '0', '9223372036854775807', 'a whole number from 0 to 9223372036854775807'),
        (40, 'branch_condition', 'text', ARRAY['BranchTaken']::text[], ARRAY['BranchTaken']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (41, 'branch_result', 'text', ARRAY['BranchTaken']::text[], ARRAY['BranchTaken']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (42, 'branch_target', 'text', ARRAY['BranchTaken']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (43, 'iteration_index', 'bigint', ARRAY['IterationStarted']::text[], ARRAY['IterationStarted']::text[], NULL, '0', '9223372036854775807', 'a whole number from 0 to 9223372036854775807'),
        (44, 'child_execution_id', 'uuid', ARRAY['ChildExecutionLinked']::text[], ARRAY['ChildExecutionLinked']::text[], NULL, NULL, NULL, 'a UUID'),
        (45, 'prompt', 'text', ARRAY['InputRequested']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (46, 'approval_id', 'uuid', ARRAY['ApprovalRequested', 'ApprovalApplied']::text[], ARRAY['ApprovalRequested', 'ApprovalApplied']::text[], NULL, NULL, NULL, 'a UUID'),
        (47, 'approval_subject', 'text', ARRAY['ApprovalRequested']::text[], ARRAY['ApprovalRequested']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (48, 'requested_from', 'text', ARRAY['ApprovalRequested']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (49, 'decision', 'text', ARRAY['ApprovalApplied']::text[], ARRAY['ApprovalApplied']::text[], ARRAY['approved', 'rejected']::text[], NULL, NULL, 'approved, rejected'),
        (50, 'decision_comment', 'text', ARRAY['ApprovalApplied']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (51, 'model_call_id', 'text', ARRAY['TokensUpdated', 'CostRecalculated', 'BudgetExceeded']::text[], ARRAY['TokensUpdated', 'CostRecalculated']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (52, 'provider', 'text', ARRAY['TokensUpdated', 'CostRecalculated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (53, 'model', 'text', ARRAY['TokensUpdated', 'CostRecalculated']::text[], ARRAY['TokensUpdated', 'CostRecalculated']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (54, 'priced_model', 'text', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (55, 'service_tier', 'text', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (56, 'context_tier', 'text', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (57, 'region', 'text', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (58, 'input_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (59, 'cache_read_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (60, 'cache_write_5m_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (61, 'cache_write_1h_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (62, 'output_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (63, 'reasoning_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (64, 'input_audio_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (65, 'cache_audio_read_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (66, 'output_audio_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (67, 'input_image_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (68, 'output_image_tokens', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (69, 'requests', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (70, 'input_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (71, 'cache_read_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (72, 'cache_write_5m_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (73, 'cache_write_1h_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (74, 'output_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (75, 'reasoning_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (76, 'input_audio_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (77, 'cache_audio_read_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (78, 'output_audio_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (79, 'input_image_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (80, 'output_image_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (81, 'requests_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (82, 'cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (83, 'estimated_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (84, 'recorded_cost_usd', 'numeric(38,12)', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (85, 'pricing_status', 'text', ARRAY['TokensUpdated']::text[], ARRAY['TokensUpdated']::text[], ARRAY['priced', 'unpriced']::text[], NULL, NULL, 'priced, unpriced'),
        (86, 'unpriced_reason', 'text', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (87, 'latency_ms', 'bigint', ARRAY['TokensUpdated']::text[], ARRAY[]::text[], NULL, '0', '9223372036854775807', 'a whole number from 0 to 9223372036854775807'),
        (88, 'target_event_id', 'uuid', ARRAY['CostRecalculated']::text[], ARRAY['CostRecalculated']::text[], NULL, NULL, NULL, 'a UUID'),
        (89, 'target_execution_id', 'uuid', ARRAY['CostRecalculated']::text[], ARRAY['CostRecalculated']::text[], NULL, NULL, NULL, 'a UUID'),
        (90, 'target_occurred_at', 'timestamptz', ARRAY['CostRecalculated']::text[], ARRAY['CostRecalculated']::text[], NULL, '1970-01-01 00:00:00+00:00', '9999-01-01 00:00:00+00:00', 'a time with its zone, such as 2026-01-05T09:00:00Z, from 1970 to 9998'),
        (91, 'old_cost_usd', 'numeric(38,12)', ARRAY['CostRecalculated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (92, 'new_cost_usd', 'numeric(38,12)', ARRAY['CostRecalculated']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (93, 'difference_usd', 'numeric(38,12)', ARRAY['CostRecalculated']::text[], ARRAY['CostRecalculated']::text[], NULL, '-1000000000000', '1000000000000', 'an amount from -1000000000000 to 1000000000000, a decimal of at most 12 places'),
        (94, 'budget_id', 'uuid', ARRAY['BudgetExceeded']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'a UUID'),
        (95, 'budget_scope', 'text', ARRAY['BudgetExceeded']::text[], ARRAY['BudgetExceeded']::text[], ARRAY['execution', 'workflow', 'agent', 'customer']::text[], NULL, NULL, 'execution, workflow, agent, customer'),
        (96, 'budget_unit', 'text', ARRAY['BudgetExceeded']::text[], ARRAY['BudgetExceeded']::text[], ARRAY['usd', 'tokens']::text[], NULL, NULL, 'usd, tokens'),
        (97, 'budget_period', 'text', ARRAY['BudgetExceeded']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (98, 'threshold_percent', 'integer', ARRAY['BudgetExceeded']::text[], ARRAY['BudgetExceeded']::text[], NULL, '0', '2147483647', 'a whole number from 0 to 2147483647'),
        (99, 'limit_usd', 'numeric(38,12)', ARRAY['BudgetExceeded']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (100, 'total_usd', 'numeric(38,12)', ARRAY['BudgetExceeded']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'an amount from 0 to 1000000000000, a decimal of at most 12 places'),
        (101, 'limit_tokens', 'bigint', ARRAY['BudgetExceeded']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (102, 'total_tokens', 'bigint', ARRAY['BudgetExceeded']::text[], ARRAY[]::text[], NULL, '0', '1000000000000', 'a whole number from 0 to 1000000000000'),
        (103, 'artifact_id', 'uuid', ARRAY['ArtifactRecorded']::text[], ARRAY['ArtifactRecorded']::text[], NULL, NULL, NULL, 'a UUID'),
        (104, 'artifact_type', 'text', ARRAY['ArtifactRecorded']::text[], ARRAY['ArtifactRecorded']::text[], ARRAY['report', 'config', 'log', 'chart', 'recommendation', 'metrics', 'alert', 'diagnostic']::text[], NULL, NULL, 'report, config, log, chart, recommendation, metrics, alert, diagnostic'),
        (105, 'artifact_name', 'text', ARRAY['ArtifactRecorded']::text[], ARRAY['ArtifactRecorded']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (106, 'uri', 'text', ARRAY['ArtifactRecorded']::text[], ARRAY['ArtifactRecorded']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (107, 'size_bytes', 'bigint', ARRAY['ArtifactRecorded']::text[], ARRAY[]::text[], NULL, '0', '9223372036854775807', 'a whole number from 0 to 9223372036854775807'),
        (108, 'content_type', 'text', ARRAY['ArtifactRecorded']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (109, 'sha256', 'text', ARRAY['ArtifactRecorded']::text[], ARRAY[]::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (110, 'log_level', 'text', ARRAY['LogRecorded']::text[], ARRAY['LogRecorded']::text[], ARRAY['debug', 'info', 'warning', 'error']::text[], NULL, NULL, 'debug, info, warning, error'),
        (111, 'message', 'text', ARRAY['LogRecorded']::text[], ARRAY['LogRecorded']::text[], NULL, NULL, NULL, 'text of at least one character, without U+0000 and U+001F'),
        (112, 'payload', 'json', NULL, ARRAY[]::text[], NULL, NULL, NULL, 'the JSON text of an object, without U+0000 and lone surrogates')
$$;

CREATE FUNCTION is_within(kind text, value json, minimum text, maximum text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
-- Whether a JSON value reads as one of the column's type, within its bounds.
DECLARE
    written text := value #>> '{}';
BEGIN
    RETURN CASE kind
        WHEN 'text' THEN json_typeof(value) = 'string' AND written <> '' AND strpos(written, chr(31)) = 0
        WHEN 'uuid' THEN written::uuid IS NOT NULL
        WHEN 'json' THEN jsonb_typeof(written::jsonb) = 'object'
        WHEN 'timestamptz' THEN written::timestamptz >= minimum::timestamptz AND written::timestamptz < maximum::timestamptz
        WHEN 'numeric(38,12)' THEN written::numeric BETWEEN minimum::numeric AND maximum::numeric
        ELSE written::bigint BETWEEN minimum::bigint AND maximum::bigint
    END;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

CREATE FUNCTION value_fault(given json) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = ledger, pg_temp AS $$
    -- The first column of an event that can't take what was given, its SQLSTATE before it; the words are those of the
    -- catalogue's `row_fault`. Asked only once a value was refused: what is judged here costs more than an append.
    SELECT CASE
        WHEN f.missing THEN format('LG010 %s: is missing; allowed: %s', f.name, f.allowed)
        WHEN f.foreign_to IS NOT NULL THEN format('LG010 %s: is no column of %s; leave it out', f.name, f.foreign_to)
        WHEN f.kind = 'uuid' THEN format('LG012 %s: %s is not a UUID', f.name, f.shown)
        ELSE format('%s %s: is %s; allowed: %s',
            CASE f.kind WHEN 'timestamptz' THEN 'LG011' ELSE 'LG010' END, f.name, f.shown, f.allowed)
    END
    FROM (
        SELECT
            r.*,
            coalesce(json_typeof(g.value), 'null') = 'null' AS missing,
            CASE WHEN t.event_type <> ALL (r.types) THEN t.event_type END AS foreign_to,
            CASE
                WHEN g.value::text ~ '^"[^\\]*"$' THEN quote_literal(btrim(g.value::text, '"'))
                WHEN json_typeof(g.value) = 'number' THEN trim_scale(g.value::text::numeric)::text
                ELSE g.value::text
            END AS shown,
            g.value
        FROM column_rules() r
        CROSS JOIN (SELECT e.value #>> '{}' AS event_type FROM json_each(given) e WHERE e.key = 'event_type') t
        LEFT JOIN json_each(given) g ON g.key = r.name
    ) f
    WHERE CASE
        WHEN f.missing THEN (given ->> 'event_type') = ANY (f.required_by)
        ELSE f.foreign_to IS NOT NULL OR NOT is_within(f.kind, f.value, f.minimum, f.maximum)
            OR (f.value #>> '{}') <> ALL (f.vocabulary)
    END
    ORDER BY f.nth
    LIMIT 1
$$;

CREATE FUNCTION refuse_values(events json[]) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
-- Names the first value that no column takes; silent where it was something else that was refused.
DECLARE
    fault record;
BEGIN
    SELECT e.nth - 1 AS place, f.fault INTO fault
    FROM unnest(events) WITH ORDINALITY AS e (given, nth)
    CROSS JOIN LATERAL (
        SELECT CASE json_typeof(e.given) WHEN 'object' THEN value_fault(e.given)
            ELSE 'LG010 : is ' || e.given || '; allowed: an event or its row' END AS fault
    ) f
    WHERE f.fault IS NOT NULL
    ORDER BY e.nth
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = left(fault.fault, 5),
            MESSAGE = replace(format('events[%s].%s', fault.place, substr(fault.fault, 7)), '].:', ']:');
    END IF;
END $$;

CREATE FUNCTION received(p_events json) RETURNS append_staging[]
LANGUAGE plpgsql STABLE SET search_path = ledger, pg_temp AS $$
-- The events of a request as rows.
BEGIN
    RETURN ARRAY(SELECT e FROM json_populate_recordset(NULL::append_staging, p_events) e);
EXCEPTION WHEN data_exception THEN
    IF json_typeof(p_events) <> 'array' THEN
        RAISE EXCEPTION USING ERRCODE = 'LG010', MESSAGE = format('events: is %s; allowed: a list of events', p_events);
    END IF;
    PERFORM refuse_values(ARRAY(SELECT json_array_elements(p_events)));
    RAISE;
END $$;

CREATE FUNCTION begin_append() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- What must hold before the first lock; answers the epoch.
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001',
            MESSAGE = 'append must be the first write of its transaction: locking after a write would invert the order of events';
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001',
            MESSAGE = 'append needs the isolation level READ COMMITTED: it reads what is committed once it holds its lock';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(19524, 2000);
    RETURN assert_epoch();
END $$;

CREATE FUNCTION budget_breaches(given append_staging[]) RETURNS append_staging[]
LANGUAGE sql STABLE SET search_path = ledger, pg_temp
AS $$
    -- BudgetExceeded rows that the batch lacks: each right after the usage that makes its execution's total cross.
    WITH batch AS MATERIALIZED (
        SELECT
            b.ordinal, b.execution_id, b.event_type, b.occurred_at, b.step_id, b.call_id, b.source, b.source_file,
            b.model_call_id, b.budget_unit, b.budget_usd, b.budget_tokens,
            coalesce(b.cost_usd, 0) + coalesce(b.estimated_cost_usd, 0) AS usd,
            coalesce(
                b.input_tokens + b.cache_read_tokens + b.cache_write_5m_tokens + b.cache_write_1h_tokens
                + b.output_tokens + b.reasoning_tokens + b.input_audio_tokens + b.cache_audio_read_tokens
                + b.output_audio_tokens + b.input_image_tokens + b.output_image_tokens, 0) AS tokens
        FROM unnest(given) b
    ),
    limits AS (
        SELECT
            e.execution_id,
            coalesce(x.budget_usd, c.budget_usd) AS budget_usd,
            coalesce(x.budget_tokens, c.budget_tokens) AS budget_tokens,
            coalesce(x.total_cost + x.estimated_cost, 0) AS spent_usd,
            coalesce(x.spent_tokens, 0) AS spent_tokens
        FROM (SELECT DISTINCT execution_id FROM batch WHERE event_type = 'TokensUpdated') e
        LEFT JOIN (
            SELECT w.* FROM workflow_executions w
            WHERE w.id = ANY (ARRAY(SELECT DISTINCT b.execution_id FROM batch b WHERE b.event_type = 'TokensUpdated'))
        ) x ON x.id = e.execution_id
        LEFT JOIN batch c ON c.execution_id = e.execution_id AND c.event_type = 'WorkflowCreated'
        WHERE coalesce(x.budget_usd, c.budget_usd) IS NOT NULL OR coalesce(x.budget_tokens, c.budget_tokens) IS NOT NULL
    ),
    spending AS (
        SELECT
            b.*, l.budget_usd AS usd_limit, l.budget_tokens AS tokens_limit,
            l.spent_usd + sum(b.usd) OVER line AS usd_after,
            l.spent_tokens + sum(b.tokens) OVER line AS tokens_after,
            array_agg(CASE WHEN b.event_type = 'BudgetExceeded' THEN b.budget_unit END) OVER (
                PARTITION BY b.execution_id ORDER BY b.ordinal ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING
            ) AS brought
        FROM batch b
        JOIN limits l ON l.execution_id = b.execution_id
        WINDOW line AS (PARTITION BY b.execution_id ORDER BY b.ordinal)
    )
    SELECT array_agg(jsonb_populate_record(NULL::append_staging, jsonb_strip_nulls(jsonb_build_object(
        'ordinal', s.ordinal + n.nth, 'execution_id', s.execution_id, 'event_type', 'BudgetExceeded',
        'event_version', 1, 'occurred_at', s.occurred_at, 'step_id', s.step_id, 'call_id', s.call_id,
        'operator_kind', 'system', 'source', s.source, 'source_file', s.source_file, 'budget_scope', 'execution',
        'budget_unit', n.unit, 'threshold_percent', 100, 'model_call_id', s.model_call_id,
        'limit_usd', CASE n.unit WHEN 'usd' THEN s.usd_limit END,
        'total_usd', CASE n.unit WHEN 'usd' THEN s.usd_after END,
        'limit_tokens', CASE n.unit WHEN 'tokens' THEN s.tokens_limit END,
        'total_tokens', CASE n.unit WHEN 'tokens' THEN s.tokens_after END,
        'payload', '{}'
    ))))
    FROM spending s
    CROSS JOIN (VALUES (1, 'usd'), (2, 'tokens')) AS n (nth, unit)
    WHERE s.event_type = 'TokensUpdated'
        AND CASE n.unit
            WHEN 'usd' THEN s.usd_after > s.usd_limit AND s.usd_after - s.usd <= s.usd_limit
            ELSE s.tokens_after > s.tokens_limit AND s.tokens_after - s.tokens <= s.tokens_limit
        END
        AND NOT coalesce(n.unit = ANY (s.brought), false)
$$;

-- What the projections need of a stored event: an event has 119 columns, and each pass over whole ones costs as much as
-- storing them. `payload` is there only where a projection reads it, `summary` is the line of the last 20 events.
CREATE TYPE event_move AS (
    execution_id uuid,
    sequence bigint,
    event_type text,
    week date,
    recorded_at timestamptz,
    occurred_at timestamptz,
    execution_kind text,
    step_id uuid,
    call_id uuid,
    attempt integer,
    agent_id uuid,
    agent_name text,
    operator_id text,
    decision text,
    next_attempt integer,
    tool_name text,
    child_execution_id uuid,
    reason text,
    error_code text,
    error_message text,
    model text,
    model_call_id text,
    input_tokens bigint,
    output_tokens bigint,
    spent_tokens bigint,
    cost_usd numeric(38,12),
    estimated_cost_usd numeric(38,12),
    summary text,
    payload json
);

CREATE FUNCTION prepare_batch(
    p_epoch integer, p_tx bigint, given append_staging[], p_execution_ids uuid[], p_heads execution_heads[], p_history boolean,
    OUT stored workflow_events[], OUT moves event_move[], OUT whole workflow_events[], OUT problem text)
LANGUAGE plpgsql
SET search_path = ledger, pg_temp
AS $$
-- Numbers, completes and judges a batch; answers the rows to store, still without their hashes, what moves the
-- projections, the rows that a projection wants whole, and the first problem, its SQLSTATE before it.
DECLARE
    server_now timestamptz := clock_timestamp();
    open_week date := (SELECT first_open_week FROM ledger_state);
    keys record;
    rows_of_executions workflow_executions[];
    steps workflow_steps[];
    calls executions[];
    approvals workflow_approvals[];
    usages usage_keys[];
BEGIN
    SELECT
        array_agg(g.step_id) FILTER (WHERE g.step_id IS NOT NULL) AS steps,
        array_agg(g.call_id) FILTER (WHERE g.call_id IS NOT NULL) AS calls,
        array_agg(g.approval_id) FILTER (WHERE g.approval_id IS NOT NULL) AS approvals,
        array_agg(g.model_call_id) FILTER (WHERE g.event_type = 'TokensUpdated') AS usages
    INTO keys
    FROM unnest(given) g;
    IF cardinality(p_heads) > 0 THEN
        rows_of_executions := ARRAY(SELECT x FROM workflow_executions x WHERE x.id = ANY (p_execution_ids));
        steps := ARRAY(SELECT s FROM workflow_steps s WHERE s.id = ANY (keys.steps));
        approvals := ARRAY(SELECT a FROM workflow_approvals a WHERE a.id = ANY (keys.approvals));
        usages := ARRAY(SELECT u FROM usage_keys u
            WHERE u.execution_id = ANY (p_execution_ids) AND u.model_call_id = ANY (keys.usages));
    END IF;
    calls := ARRAY(SELECT c FROM executions c WHERE c.id = ANY (keys.calls));

    SELECT format('LG001 %s: %s', f.event_type, f.fault) INTO problem
    FROM (
        SELECT g.ordinal, g.event_type, coalesce(
            payload_fault(g.event_type, coalesce(g.payload, '{}')::jsonb),
            -- A bound of our own, so that no reader's stack decides what can be replayed.
            CASE WHEN length(g.payload) - length(translate(g.payload, '{[', '')) > 200
                AND g.payload::jsonb @? 'strict $.**{200} ? (@.type() == "object" || @.type() == "array")' THEN 'payload: is nested deeper than 200 levels' END) AS fault
        FROM unnest(given) g
        WHERE g.payload <> '{}' OR g.event_type = 'ContextUpdated'
    ) f
    WHERE f.fault IS NOT NULL
    ORDER BY f.ordinal
    LIMIT 1;
    IF problem IS NOT NULL THEN
        RETURN;
    END IF;

    WITH batch AS MATERIALIZED (
        SELECT * FROM unnest(given)
    ),
    -- What the batch does, a narrow line each: one for each step that it plans, then one for the event itself.
    lines AS MATERIALIZED (
        SELECT
            b.execution_id, b.ordinal, 0 AS turn, p.step_id, NULL::uuid AS call_id, NULL::uuid AS approval_id,
            NULL::text AS event_type, NULL::text AS model_call_id, NULL::text AS execution_to, NULL::text AS step_to,
            NULL::text AS call, NULL::text AS call_to, NULL::text AS approval_to, NULL::date AS week,
            p.step_name, p.agent_id, p.agent_name, p.max_attempts
        FROM batch b
        CROSS JOIN LATERAL planned_steps(b.event_type, b.payload::json) p
        WHERE b.event_type IN ('WorkflowCreated', 'IterationStarted')
            OR b.event_type = 'StepDispatched' AND strpos(b.payload, 'plan_entry') > 0
        UNION ALL
        SELECT
            b.execution_id, b.ordinal, 1, b.step_id, b.call_id, b.approval_id,
            b.event_type, b.model_call_id, r.execution_to, r.step_to,
            r.call, r.call_to, CASE b.event_type WHEN 'ApprovalRequested' THEN 'pending' ELSE b.decision END,
            week_of(CASE WHEN p_history THEN b.occurred_at ELSE server_now END),
            NULL, NULL, NULL, NULL
        FROM batch b
        LEFT JOIN state_rules r ON r.event_type = b.event_type
    ),
    -- Each subject is followed through the lines that concern it, and no others: sorting all of them costs most.
    execution_known AS (
        SELECT
            l.ordinal,
            row_number() OVER line AS nth,
            max(l.week) OVER line AS week,
            substr(max(marked(l.ordinal, l.execution_to)) OVER before_this, 20) AS moved_state,
            coalesce(
                count(*) FILTER (WHERE l.call = 'opens') OVER before_this
                - count(*) FILTER (WHERE l.call = 'closes') OVER before_this, 0) AS calls_opened
        FROM lines l
        WHERE l.turn = 1
        WINDOW
            line AS (PARTITION BY l.execution_id ORDER BY l.ordinal),
            before_this AS (
                PARTITION BY l.execution_id ORDER BY l.ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ),
    step_known AS (
        SELECT
            l.ordinal, l.turn,
            bool_or(l.turn = 0) OVER line AS planned,
            substr(max(marked(l.ordinal, l.step_to)) OVER (line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 20)
                AS moved_step,
            count(*) FILTER (WHERE l.event_type = 'StepRetried') OVER line AS retries,
            first_value(l.max_attempts) OVER line AS max_attempts,
            first_value(l.step_name) OVER line AS step_name,
            first_value(l.agent_id) OVER line AS agent_id,
            first_value(l.agent_name) OVER line AS agent_name
        FROM lines l
        WHERE l.step_id IS NOT NULL
        WINDOW line AS (PARTITION BY l.execution_id, l.step_id ORDER BY l.ordinal, l.turn)
    ),
    call_known AS (
        SELECT
            l.ordinal,
            substr(max(marked(l.ordinal, l.call_to)) OVER (line ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 20)
                AS moved_call,
            first_value(l.step_id) OVER line AS step_id,
            first_value(l.execution_id) OVER line AS owner
        FROM lines l
        WHERE l.call_id IS NOT NULL
        WINDOW line AS (PARTITION BY l.call_id ORDER BY l.ordinal)
    ),
    approval_known AS (
        SELECT
            l.ordinal,
            substr(max(marked(l.ordinal, l.approval_to)) OVER (
                PARTITION BY l.execution_id, l.approval_id ORDER BY l.ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 20) AS moved_approval
        FROM lines l
        WHERE l.approval_id IS NOT NULL
    ),
    usage_known AS (
        SELECT l.ordinal, row_number() OVER (PARTITION BY l.execution_id, l.model_call_id ORDER BY l.ordinal) AS nth
        FROM lines l
        WHERE l.event_type = 'TokensUpdated'
    ),
    -- Narrow rows are joined first, so that each wide one is touched once.
    known AS MATERIALIZED (
        SELECT
            k.*, t.planned, t.moved_step, t.retries, t.max_attempts, t.step_name, t.agent_id, t.agent_name,
            f.moved_call, f.step_id AS call_step_id, f.owner AS call_owner, g.moved_approval, m.nth AS usage_nth
        FROM execution_known k
        LEFT JOIN step_known t ON t.ordinal = k.ordinal AND t.turn = 1
        LEFT JOIN call_known f ON f.ordinal = k.ordinal
        LEFT JOIN approval_known g ON g.ordinal = k.ordinal
        LEFT JOIN usage_known m ON m.ordinal = k.ordinal
    ),
    joined AS (
        SELECT
            b.*, k.nth,
            r.event_type IS NOT NULL AS known_type, r.execution_from, r.step_from, r.call,
            h.id IS NOT NULL AS stored_execution, h.pruned_at,
            coalesce(h.last_sequence, 0) + k.nth AS next_sequence,
            greatest(server_now, h.last_recorded_at) AS assigned_recorded_at,
            greatest(k.week, open_week, h.last_week) AS assigned_week,
            coalesce(k.moved_state, h.state) AS state_before,
            coalesce(h.open_calls, 0) + k.calls_opened AS open_calls,
            CASE WHEN x.id IS NULL THEN c.workflow_name ELSE x.workflow_name END AS execution_workflow_name,
            CASE WHEN x.id IS NULL THEN c.workflow_type ELSE x.workflow_type::text END AS execution_workflow_type,
            CASE WHEN x.id IS NULL THEN c.template_id ELSE x.template_id END AS execution_template_id,
            CASE WHEN x.id IS NULL THEN c.template_version ELSE x.template_version END AS execution_template_version,
            CASE WHEN x.id IS NULL THEN c.mode ELSE x.mode END AS execution_mode,
            CASE WHEN x.id IS NULL THEN c.drive_id ELSE x.drive_id END AS execution_drive_id,
            CASE WHEN x.id IS NULL THEN c.customer_id ELSE x.customer_id END AS execution_customer_id,
            CASE WHEN x.id IS NULL THEN c.user_id ELSE x.user_id END AS execution_user_id,
            CASE WHEN x.id IS NULL THEN c.agent_id ELSE x.agent_id END AS execution_agent_id,
            CASE WHEN x.id IS NULL THEN c.agent_name ELSE x.agent_name END AS execution_agent_name,
            coalesce(h.execution_kind, c.execution_kind, 'workflow') AS execution_execution_kind,
            s.id IS NOT NULL OR k.planned AS step_exists,
            coalesce(k.moved_step, s.status::text, 'pending') AS step_status,
            coalesce(s.attempt, 1) + k.retries AS step_attempt,
            coalesce(s.max_attempts, k.max_attempts) AS max_attempts,
            CASE WHEN s.id IS NOT NULL OR k.planned THEN coalesce(s.attempt, 1) + k.retries ELSE b.attempt END
                AS known_attempt,
            coalesce(s.step_name, k.step_name, b.step_name) AS known_step_name,
            CASE WHEN s.id IS NULL THEN k.agent_id ELSE s.agent_id END AS step_agent_id,
            CASE WHEN s.id IS NULL THEN k.agent_name ELSE s.agent_name END AS step_agent_name,
            coalesce(k.moved_call, o.status::text) AS call_status,
            coalesce(o.step_id, k.call_step_id) AS call_step_id,
            coalesce(o.execution_id, k.call_owner) AS call_owner,
            coalesce(k.moved_approval, a.status) AS approval_status,
            b.event_type = 'TokensUpdated' AND (u.model_call_id IS NOT NULL OR k.usage_nth > 1) AS usage_repeated
        FROM batch b
        JOIN known k ON k.ordinal = b.ordinal
        LEFT JOIN state_rules r ON r.event_type = b.event_type
        LEFT JOIN unnest(p_heads) h ON h.id = b.execution_id
        LEFT JOIN unnest(rows_of_executions) x ON x.id = b.execution_id
        -- Of two creations the second is refused, so it doesn't matter which one this finds.
        LEFT JOIN (
            SELECT DISTINCT ON (execution_id) * FROM batch WHERE event_type = 'WorkflowCreated' ORDER BY execution_id, ordinal
        ) c ON c.execution_id = b.execution_id
        LEFT JOIN unnest(steps) s ON s.id = b.step_id AND s.execution_id = b.execution_id
        LEFT JOIN unnest(calls) o ON o.id = b.call_id
        LEFT JOIN unnest(approvals) a ON a.id = b.approval_id AND a.execution_id = b.execution_id
        LEFT JOIN unnest(usages) u ON u.execution_id = b.execution_id AND u.model_call_id = b.model_call_id
    ),
    judged AS (
        SELECT
            j.*,
            CASE
                WHEN NOT j.known_type THEN format('event_type: %L is not known', j.event_type)
                WHEN j.execution_id IS NULL THEN 'execution_id: is missing'
                WHEN j.occurred_at IS NULL THEN 'LG011 occurred_at: is missing'
                WHEN coalesce(j.event_version, 1) <> 1 THEN format('event_version: %s is not known; allowed: 1', j.event_version)
                WHEN j.occurred_at < '1970-01-01 00:00:00Z' THEN 'LG011 occurred_at: is before 1970-01-01'
                WHEN j.occurred_at > server_now + interval '5 minutes' THEN format(
                    'LG011 occurred_at: %s is more than 5 minutes ahead of the server''s clock (%s)', j.occurred_at, server_now)
                WHEN j.pruned_at IS NOT NULL THEN
                    'LG008 execution_id: the execution was pruned and takes no event; open a new one whose parent_execution_id names it'
                WHEN j.event_type = 'WorkflowCreated' AND (j.stored_execution OR j.nth > 1) THEN
                    'LG008 execution_id: the execution exists already'
                WHEN j.event_type <> 'WorkflowCreated' AND NOT j.stored_execution AND j.nth = 1 THEN
                    'LG009 execution_id: the execution does not exist; its first event must be WorkflowCreated'
                WHEN j.sequence IS NOT NULL AND j.sequence <> j.next_sequence THEN format(
                    'LG002 sequence: %s was expected, but the next one is %s', j.sequence, j.next_sequence)
                WHEN cardinality(j.execution_from) > 0 AND j.state_before <> ALL (j.execution_from) THEN
                    CASE WHEN j.state_before IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')
                        THEN format('LG008 the execution has ended (%s): only late facts (TokensUpdated, ArtifactRecorded, LogRecorded) may follow',
                            j.state_before)
                        ELSE format('LG008 not allowed while the execution is %s; allowed while: %s',
                            j.state_before, array_to_string(j.execution_from, ', '))
                    END
                WHEN j.event_type = 'WorkflowCompleted' AND j.open_calls > 0 THEN format(
                    'LG008 %s agent call(s) are still open: complete or fail them first', j.open_calls)
                WHEN cardinality(j.step_from) > 0 AND j.step_id IS NULL THEN 'LG009 step_id: is missing'
                WHEN j.step_id IS NOT NULL AND j.step_exists IS NOT TRUE THEN format(
                    'LG009 step_id: %s is not a step of this execution', j.step_id)
                WHEN cardinality(j.step_from) > 0 AND j.step_status <> ALL (j.step_from) THEN format(
                    'LG008 step_id: step %L is %s; allowed while: %s', j.known_step_name, j.step_status, array_to_string(j.step_from, ', '))
                WHEN j.event_type = 'StepRetried' AND j.next_attempt IS DISTINCT FROM j.step_attempt THEN format(
                    'LG008 next_attempt: %s was given, but the next one is %s', j.next_attempt, j.step_attempt)
                WHEN j.event_type = 'StepRetried' AND j.next_attempt > j.max_attempts THEN format(
                    'LG008 next_attempt: %s is beyond the step''s maximum of %s', j.next_attempt, j.max_attempts)
                WHEN j.call IS NOT NULL AND j.call_id IS NULL THEN 'LG009 call_id: is missing'
                WHEN j.call = 'opens' AND (j.call_status IS NOT NULL OR j.call_owner <> j.execution_id) THEN format(
                    'LG009 call_id: %s was used before', j.call_id)
                WHEN j.call IS DISTINCT FROM 'opens' AND j.call_id IS NOT NULL
                    AND (j.call_status IS NULL OR j.call_owner <> j.execution_id) THEN format(
                    'LG009 call_id: %s is not a call of this execution', j.call_id)
                WHEN j.call = 'closes' AND j.call_status <> 'running' THEN format(
                    'LG008 call_id: %s has ended (%s)', j.call_id, j.call_status)
                WHEN j.call_id IS NOT NULL AND j.step_id IS DISTINCT FROM j.call_step_id AND j.step_id IS NOT NULL THEN format(
                    'LG009 call_id: %s belongs to another step', j.call_id)
                WHEN j.event_type = 'ApprovalRequested' AND j.approval_status IS NOT NULL THEN format(
                    'LG009 approval_id: %s was requested before', j.approval_id)
                WHEN j.event_type = 'ApprovalApplied' AND j.approval_status IS DISTINCT FROM 'pending' THEN format(
                    '%s approval_id: %s is %s; allowed while: pending',
                    CASE WHEN j.approval_status IS NULL THEN 'LG009' ELSE 'LG008' END, j.approval_id, coalesce(j.approval_status, 'not requested'))
                WHEN j.usage_repeated THEN format(
                    'LG009 model_call_id: %L has its usage recorded already: one per model call', j.model_call_id)
                WHEN j.event_type = 'CostRecalculated' AND j.execution_execution_kind <> 'repricing' THEN
                    'LG008 execution_kind: CostRecalculated belongs to an execution of kind repricing'
            END AS problem
        FROM joined j
    )
    SELECT
        array_agg(j.event), array_agg(j.move),
        array_agg(j.event) FILTER (WHERE j.whole),
        substr(min((
            lpad(j.ordinal::text, 19, '0') || coalesce(substring(j.problem, '^LG[0-9]{3} '), 'LG001 ')
            || format('%s (sequence %s): %s', j.event_type, j.next_sequence, regexp_replace(j.problem, '^LG[0-9]{3} ', '')))
            COLLATE "C") FILTER (WHERE j.problem IS NOT NULL), 20)
    INTO stored, moves, whole, problem
    FROM (
        SELECT
            j.ordinal, j.event_type, j.next_sequence, j.problem,
            j.event_type IN ('WorkflowCreated', 'IterationStarted', 'ApprovalRequested', 'ApprovalApplied', 'ArtifactRecorded',
                'LogRecorded') OR j.event_type = 'StepDispatched' AND strpos(j.payload, 'plan_entry') > 0 AS whole,
            ROW(
                coalesce(j.event_id, ledger.uuidv7(j.occurred_at)),
                j.execution_id,
                j.next_sequence,
                j.event_type,
                coalesce(j.event_version, 1),
                j.assigned_week,
                p_epoch,
                p_tx,
                j.occurred_at,
                j.assigned_recorded_at,
                j.execution_workflow_name,
                j.execution_workflow_type,
                j.execution_template_id,
                j.execution_template_version,
                j.execution_mode,
                j.execution_drive_id,
                j.execution_customer_id,
                j.execution_user_id,
                coalesce(j.agent_id, j.step_agent_id, j.execution_agent_id),
                coalesce(j.agent_name, j.step_agent_name, j.execution_agent_name),
                j.operator_id,
                j.operator_kind,
                j.step_id,
                j.known_step_name,
                j.call_id,
                j.known_attempt,
                j.source,
                j.source_file,
                j.source_line,
                j.execution_execution_kind,
                j.triggered_by,
                j.triggered_by_kind,
                j.parent_execution_id,
                j.parent_step_id,
                j.retry_of,
                j.budget_usd,
                j.budget_tokens,
                j.reason,
                j.error_code,
                j.error_message,
                j.limit_seconds,
                j.tool_name,
                j.next_attempt,
                j.delay_ms,
                j.branch_condition,
                j.branch_result,
                j.branch_target,
                j.iteration_index,
                j.child_execution_id,
                j.prompt,
                j.approval_id,
                j.approval_subject,
                j.requested_from,
                j.decision,
                j.decision_comment,
                j.model_call_id,
                j.provider,
                j.model,
                j.priced_model,
                j.service_tier,
                j.context_tier,
                j.region,
                j.input_tokens,
                j.cache_read_tokens,
                j.cache_write_5m_tokens,
                j.cache_write_1h_tokens,
                j.output_tokens,
                j.reasoning_tokens,
                j.input_audio_tokens,
                j.cache_audio_read_tokens,
                j.output_audio_tokens,
                j.input_image_tokens,
                j.output_image_tokens,
                j.requests,
                j.input_cost_usd,
                j.cache_read_cost_usd,
                j.cache_write_5m_cost_usd,
                j.cache_write_1h_cost_usd,
                j.output_cost_usd,
                j.reasoning_cost_usd,
                j.input_audio_cost_usd,
                j.cache_audio_read_cost_usd,
                j.output_audio_cost_usd,
                j.input_image_cost_usd,
                j.output_image_cost_usd,
                j.requests_cost_usd,
                j.cost_usd,
                j.estimated_cost_usd,
                j.recorded_cost_usd,
                j.pricing_status,
                j.unpriced_reason,
                j.latency_ms,
                j.target_event_id,
                j.target_execution_id,
                j.target_occurred_at,
                j.old_cost_usd,
                j.new_cost_usd,
                j.difference_usd,
                j.budget_id,
                j.budget_scope,
                j.budget_unit,
                j.budget_period,
                j.threshold_percent,
                j.limit_usd,
                j.total_usd,
                j.limit_tokens,
                j.total_tokens,
                j.artifact_id,
                j.artifact_type,
                j.artifact_name,
                j.uri,
                j.size_bytes,
                j.content_type,
                j.sha256,
                j.log_level,
                j.message,
                coalesce(j.payload, '{}')::json,
                NULL, NULL
            )::workflow_events AS event,
            ROW(
                j.execution_id,
                j.next_sequence,
                j.event_type,
                j.assigned_week,
                j.assigned_recorded_at,
                j.occurred_at,
                j.execution_execution_kind,
                j.step_id,
                j.call_id,
                j.known_attempt,
                coalesce(j.agent_id, j.step_agent_id, j.execution_agent_id),
                coalesce(j.agent_name, j.step_agent_name, j.execution_agent_name),
                j.operator_id,
                j.decision,
                j.next_attempt,
                j.tool_name,
                j.child_execution_id,
                j.reason,
                j.error_code,
                j.error_message,
                j.model,
                j.model_call_id,
                j.input_tokens,
                j.output_tokens,
                j.input_tokens + j.cache_read_tokens + j.cache_write_5m_tokens + j.cache_write_1h_tokens + j.output_tokens + j.reasoning_tokens + j.input_audio_tokens + j.cache_audio_read_tokens + j.output_audio_tokens + j.input_image_tokens + j.output_image_tokens,
                j.cost_usd,
                j.estimated_cost_usd,
                '{"sequence": ' || j.next_sequence || ', "event_type": "' || j.event_type || '", "occurred_at": "'
                || to_char(j.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}',
                CASE WHEN j.event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'InputReceived',
                'ContextUpdated', 'WorkflowCompleted', 'WorkflowFailed') THEN j.payload::json END
            )::event_move AS move
        FROM judged j
        OFFSET 0
    ) j;
END $$;

CREATE TYPE digested AS (leaves bytea[], hashes bytea[]);

CREATE FUNCTION digest_batch(stored workflow_events[], heads execution_heads[]) RETURNS digested
LANGUAGE sql STABLE SET search_path = ledger, pg_temp
AS $$
    -- The leaf of each row, and the hash that continues its execution's chain, in the rows' order.
    WITH leaves AS MATERIALIZED (
        SELECT row_number() OVER () AS nth, e.execution_id, e.sequence, leaf(e) AS leaf FROM unnest(stored) e
    ),
    chained AS (
        SELECT
            l.nth, l.leaf,
            chain_hash(coalesce(h.head_hash, decode(repeat('00', 32), 'hex')), l.leaf) OVER (
                PARTITION BY l.execution_id ORDER BY l.sequence) AS hash
        FROM leaves l
        LEFT JOIN unnest(heads) h ON h.id = l.execution_id
    )
    SELECT ROW(array_agg(c.leaf ORDER BY c.nth), array_agg(c.hash ORDER BY c.nth))::digested FROM chained c
$$;

CREATE FUNCTION apply_batch(p_epoch integer, given append_staging[], p_history boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger, pg_temp
-- A batch of 50,000 events takes some 50 MB: in less, each pass over it would go through a temporary file.
SET work_mem = '256MB'
-- Joins are of the batch with itself, with arrays as small, or with rows found by arrays of keys. A plan is kept for the
-- next batch, which may be of another size: with nested loops it would be quadratic in it, and a merge would sort rows of
-- 119 columns. Plans are kept, not forced anew: that would plan the check of each event's reference to its head, too.
-- A table that is small now may have grown by the next batch: no plan scans one.
SET enable_nestloop = off
SET enable_mergejoin = off
SET enable_seqscan = off
AS $$
-- Stores a batch and moves heads and projections; the caller holds the locks.
DECLARE
    types text[];
    execution_ids uuid[];
    heads execution_heads[];
    budgeted boolean;
    ordered boolean;
    breaches append_staging[] := '{}';
    prepared record;
    digests digested;
BEGIN
    SELECT
        array_agg(DISTINCT g.event_type COLLATE "C"), array_agg(DISTINCT g.execution_id),
        bool_or(num_nonnulls(g.budget_usd, g.budget_tokens) > 0), bool_and(g.ordinal >= 0)
    INTO types, execution_ids, budgeted, ordered
    FROM unnest(given) g;
    IF NOT ordered THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = 'ordinal: must be 0 or more';
    END IF;
    heads := ARRAY(SELECT h FROM execution_heads h WHERE h.id = ANY (execution_ids));
    IF 'TokensUpdated' = ANY (types) AND (
        budgeted OR EXISTS (
            SELECT FROM workflow_executions x
            WHERE x.id = ANY (execution_ids) AND num_nonnulls(x.budget_usd, x.budget_tokens) > 0))
    THEN
        breaches := coalesce(budget_breaches(given), '{}');
        types := types || 'BudgetExceeded'::text;
    END IF;
    SELECT p.* INTO prepared
    FROM prepare_batch(p_epoch, pg_current_xact_id()::text::bigint, given || breaches, execution_ids, heads, p_history) p;
    IF prepared.problem IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = left(prepared.problem, 5), MESSAGE = substr(prepared.problem, 7);
    END IF;
    IF cardinality(given) + cardinality(breaches) <> coalesce(cardinality(prepared.stored), 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = 'ordinal: each event of a batch needs one of its own';
    END IF;
    IF prepared.stored IS NULL THEN
        RETURN 0;
    END IF;
    digests := digest_batch(prepared.stored, heads);

    INSERT INTO execution_heads AS h (
        id, execution_kind, state, last_sequence, head_hash, first_week, last_week, last_recorded_at, open_calls, ended
    )
    SELECT
        e.execution_id, max(e.execution_kind),
        coalesce((array_agg(r.execution_to ORDER BY e.sequence DESC) FILTER (WHERE r.execution_to IS NOT NULL))[1], 'unchanged'),
        max(e.sequence), (array_agg(e.hash ORDER BY e.sequence DESC))[1], min(e.week), max(e.week), max(e.recorded_at),
        -- An end closes what is open; until then calls are counted.
        CASE WHEN bool_or(r.execution_to IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')) THEN 0
            ELSE coalesce(old.open_calls, 0) + count(*) FILTER (WHERE r.call = 'opens') - count(*) FILTER (WHERE r.call = 'closes')
        END,
        coalesce(bool_or(r.execution_to IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')), false)
    FROM ROWS FROM (unnest(prepared.moves), unnest(digests.hashes)) AS e (execution_id, sequence, event_type, week, recorded_at, occurred_at, execution_kind, step_id, call_id, attempt, agent_id, agent_name, operator_id, decision, next_attempt, tool_name, child_execution_id, reason, error_code, error_message, model, model_call_id, input_tokens, output_tokens, spent_tokens, cost_usd, estimated_cost_usd, summary, payload, hash)
    JOIN state_rules r ON r.event_type = e.event_type
    LEFT JOIN unnest(heads) old ON old.id = e.execution_id
    GROUP BY e.execution_id, old.open_calls
    ON CONFLICT (id) DO UPDATE SET
        state = CASE excluded.state WHEN 'unchanged' THEN h.state ELSE excluded.state END,
        last_sequence = excluded.last_sequence,
        head_hash = excluded.head_hash,
        last_week = excluded.last_week,
        last_recorded_at = excluded.last_recorded_at,
        open_calls = excluded.open_calls,
        ended = h.ended OR excluded.ended;

    INSERT INTO workflow_events
    SELECT d.event_id, d.execution_id, d.sequence, d.event_type, d.event_version, d.week, d.epoch, d.tx, d.occurred_at, d.recorded_at, d.workflow_name, d.workflow_type, d.template_id, d.template_version, d.mode, d.drive_id, d.customer_id, d.user_id, d.agent_id, d.agent_name, d.operator_id, d.operator_kind, d.step_id, d.step_name, d.call_id, d.attempt, d.source, d.source_file, d.source_line, d.execution_kind, d.triggered_by, d.triggered_by_kind, d.parent_execution_id, d.parent_step_id, d.retry_of, d.budget_usd, d.budget_tokens, d.reason, d.error_code, d.error_message, d.limit_seconds, d.tool_name, d.next_attempt, d.delay_ms, d.branch_condition, d.branch_result, d.branch_target, d.iteration_index, d.child_execution_id, d.prompt, d.approval_id, d.approval_subject, d.requested_from, d.decision, d.decision_comment, d.model_call_id, d.provider, d.model, d.priced_model, d.service_tier, d.context_tier, d.region, d.input_tokens, d.cache_read_tokens, d.cache_write_5m_tokens, d.cache_write_1h_tokens, d.output_tokens, d.reasoning_tokens, d.input_audio_tokens, d.cache_audio_read_tokens, d.output_audio_tokens, d.input_image_tokens, d.output_image_tokens, d.requests, d.input_cost_usd, d.cache_read_cost_usd, d.cache_write_5m_cost_usd, d.cache_write_1h_cost_usd, d.output_cost_usd, d.reasoning_cost_usd, d.input_audio_cost_usd, d.cache_audio_read_cost_usd, d.output_audio_cost_usd, d.input_image_cost_usd, d.output_image_cost_usd, d.requests_cost_usd, d.cost_usd, d.estimated_cost_usd, d.recorded_cost_usd, d.pricing_status, d.unpriced_reason, d.latency_ms, d.target_event_id, d.target_execution_id, d.target_occurred_at, d.old_cost_usd, d.new_cost_usd, d.difference_usd, d.budget_id, d.budget_scope, d.budget_unit, d.budget_period, d.threshold_percent, d.limit_usd, d.total_usd, d.limit_tokens, d.total_tokens, d.artifact_id, d.artifact_type, d.artifact_name, d.uri, d.size_bytes, d.content_type, d.sha256, d.log_level, d.message, d.payload, d.leaf, d.hash
    FROM ROWS FROM (unnest(prepared.stored), unnest(digests.leaves), unnest(digests.hashes))
        AS d (event_id, execution_id, sequence, event_type, event_version, week, epoch, tx, occurred_at, recorded_at, workflow_name, workflow_type, template_id, template_version, mode, drive_id, customer_id, user_id, agent_id, agent_name, operator_id, operator_kind, step_id, step_name, call_id, attempt, source, source_file, source_line, execution_kind, triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message, payload, no_leaf, no_hash, leaf, hash);

    PERFORM project(prepared.moves, prepared.whole, types);
    RETURN cardinality(prepared.stored);
-- Judged after the fact: the tables' own constraints have looked at every value once.
EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
    PERFORM refuse_values(ARRAY(SELECT to_json(g) FROM unnest(given) g ORDER BY g.ordinal));
    RAISE;
END $$;

CREATE FUNCTION append(
    p_execution_id uuid,
    p_events json,
    p_expected_sequence bigint DEFAULT NULL,
    p_idempotency_key text DEFAULT NULL,
    p_history boolean DEFAULT false,
    p_request_hash bytea DEFAULT NULL
) RETURNS TABLE (first_sequence bigint, last_sequence bigint, repeated boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp
-- Compiling these wide statements takes seconds, running them milliseconds.
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    epoch integer := begin_append();
    given append_staging[];
    content bytea := coalesce(p_request_hash, sha256(convert_to(p_events::text, 'UTF8')));
    known append_keys;
    before bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(19524, stripe(p_execution_id));
    given := received(p_events);
    PERFORM refuse_foreign_drives(ARRAY[p_execution_id], given);
    PERFORM refuse_false_operators(given);
    SELECT k.* INTO known FROM append_keys k WHERE k.execution_id = p_execution_id AND k.key = p_idempotency_key;
    IF FOUND THEN
        IF known.request_hash <> content THEN
            RAISE EXCEPTION USING ERRCODE = 'LG003', MESSAGE = format(
                'idempotency_key: %L was used for other events of this execution', p_idempotency_key);
        END IF;
        RETURN QUERY SELECT known.first_sequence, known.last_sequence, true;
        RETURN;
    END IF;
    before := coalesce((SELECT h.last_sequence FROM execution_heads h WHERE h.id = p_execution_id), 0);
    IF p_expected_sequence <> before THEN
        RAISE EXCEPTION USING ERRCODE = 'LG002', MESSAGE = format(
            'expected_sequence: %s was expected, but the execution''s last sequence is %s', p_expected_sequence, before);
    END IF;
    IF EXISTS (SELECT FROM unnest(given) g WHERE g.execution_id IS DISTINCT FROM p_execution_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = 'execution_id: an event belongs to another execution';
    END IF;
    IF apply_batch(epoch, given, p_history) = 0 THEN
        RETURN QUERY SELECT before + 1, before, false;
        RETURN;
    END IF;
    SELECT h.last_sequence INTO last_sequence FROM execution_heads h WHERE h.id = p_execution_id;
    IF p_idempotency_key IS NOT NULL THEN
        INSERT INTO append_keys VALUES (p_execution_id, p_idempotency_key, content, before + 1, last_sequence);
    END IF;
    RETURN QUERY SELECT before + 1, last_sequence, false;
END $$;

CREATE FUNCTION staged_weeks(p_batch uuid, p_history boolean) RETURNS TABLE (event_type text, week date)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = ledger, pg_temp
-- A batch has no statistics: it would be taken for a row or two, and joined with itself row by row.
SET enable_nestloop = off
AS $$
    -- The leaves that a staged batch needs and that are not there yet.
    WITH staged AS MATERIALIZED (
        SELECT
            b.execution_id, b.event_type, b.ordinal, num_nonnulls(b.budget_usd, b.budget_tokens) > 0 AS has_budget,
            week_of(CASE WHEN p_history THEN b.occurred_at ELSE clock_timestamp() END) AS week
        FROM append_staging b
        WHERE b.batch = p_batch AND b.staged_by = session_user
    ),
    ids AS (
        SELECT array_agg(DISTINCT s.execution_id) AS ids FROM staged s
    ),
    executions AS (
        SELECT x.id, x.drive_id, num_nonnulls(x.budget_usd, x.budget_tokens) > 0 AS has_budget
        FROM workflow_executions x
        WHERE x.id = ANY ((SELECT i.ids FROM ids i)::uuid[])
    ),
    -- Of another drive's execution the answer tells nothing.
    known AS (
        SELECT h.id, h.last_week, x.has_budget
        FROM (SELECT * FROM execution_heads WHERE id = ANY ((SELECT i.ids FROM ids i)::uuid[])) h
        LEFT JOIN executions x ON x.id = h.id
        WHERE (SELECT sees_every_drive()) OR x.drive_id = ANY ((SELECT drives_with_access('read'))::uuid[])
    ),
    weeks AS (
        SELECT s.event_type, max(greatest(s.week, l.first_open_week, k.last_week))
            OVER (PARTITION BY s.execution_id ORDER BY s.ordinal) AS week
        FROM (
            SELECT b.execution_id, b.event_type, b.ordinal, b.week FROM staged b
            UNION ALL
            -- A usage may bring its execution's budget breach with it.
            SELECT b.execution_id, 'BudgetExceeded', b.ordinal, b.week
            FROM staged b
            WHERE b.event_type = 'TokensUpdated' AND (
                b.execution_id IN (SELECT c.execution_id FROM staged c WHERE c.has_budget)
                OR b.execution_id IN (SELECT k.id FROM known k WHERE k.has_budget))
        ) s
        CROSS JOIN ledger_state l
        LEFT JOIN known k ON k.id = s.execution_id
    )
    SELECT DISTINCT w.event_type, w.week
    FROM weeks w
    JOIN missing_leaves(ARRAY(SELECT DISTINCT v.week FROM weeks v)) m ON m.event_type = w.event_type AND m.week = w.week
    ORDER BY 2, 1
$$;

CREATE FUNCTION append_staged(p_batch uuid, p_history boolean, p_events bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp
SET jit = off
AS $$
-- Consumes a batch that was staged and committed before; answers how many events it stored.
DECLARE
    epoch integer := begin_append();
    key integer;
    given append_staging[];
    appended bigint;
BEGIN
    FOR key IN
        SELECT DISTINCT stripe(s.execution_id) FROM append_staging s
        WHERE s.batch = p_batch AND s.staged_by = session_user ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(19524, key);
    END LOOP;
    given := ARRAY(SELECT s FROM append_staging s WHERE s.batch = p_batch AND s.staged_by = session_user);
    IF cardinality(given) <> p_events THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = format(
            'batch: %s events were staged, but %s are there: stage the batch again', p_events, cardinality(given));
    END IF;
    PERFORM refuse_foreign_drives('{}', given);
    PERFORM refuse_false_operators(given);
    appended := apply_batch(epoch, given, p_history);
    DELETE FROM append_staging s WHERE s.batch = p_batch AND s.staged_by = session_user;
    RETURN appended;
END $$;

CREATE FUNCTION clear_staging(older_than interval DEFAULT '1 day') RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    WITH cleared AS (DELETE FROM append_staging WHERE staged_at < clock_timestamp() - greatest(older_than, interval '1 hour') RETURNING 1)
    SELECT count(*) FROM cleared
$$;

CREATE FUNCTION discard_staged(p_batch uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    DELETE FROM append_staging WHERE batch = p_batch AND staged_by = session_user
$$;

-- Moves the projections by the events just stored; the same rules as the fold.

CREATE FUNCTION member(payload json, name text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- A payload's member; NULL for a missing one and for JSON null alike.
RETURN nullif((payload -> name)::jsonb, 'null');

CREATE FUNCTION object_member(payload json, name text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(nullif((payload -> name)::jsonb, 'null'), '{}');

CREATE FUNCTION error_details_of(payload json, error_code text) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN object_member(payload, 'error_details')
    || CASE WHEN error_code IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('code', error_code) END;

CREATE FUNCTION step_moves(moves event_move[])
RETURNS TABLE (
    step_id uuid, status text, attempt integer, started_at timestamptz, completed_at timestamptz,
    dispatched boolean, input_data jsonb, step_config jsonb, tool_name text, tool_parameters jsonb,
    completed boolean, output_data jsonb, tool_result jsonb,
    closed boolean, error_message text, error_details jsonb,
    received boolean, user_input jsonb, child_execution_id uuid
)
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    -- What the events leave of each step that they move; the last event of each kind counts.
    SELECT
        m.step_id, m.status, m.attempt, m.started_at, m.completed_at,
        (m.dispatch).event_type IS NOT NULL, member((m.dispatch).payload, 'input'),
        nullif(member((m.dispatch).payload, 'config'), '{}'), (m.dispatch).tool_name,
        member((m.dispatch).payload, 'tool_parameters'),
        (m.completion).event_type IS NOT NULL, member((m.completion).payload, 'output'),
        member((m.completion).payload, 'tool_result'),
        (m.closing).event_type IS NOT NULL, (m.closing).error_message,
        CASE (m.closing).event_type WHEN 'StepFailed' THEN error_details_of((m.closing).payload, (m.closing).error_code) END,
        (m.receipt).event_type IS NOT NULL, member((m.receipt).payload, 'user_input'), m.child_execution_id
    FROM (
        SELECT
            e.step_id,
            (array_agg(r.step_to ORDER BY e.sequence DESC) FILTER (WHERE r.step_to IS NOT NULL))[1] AS status,
            max(e.next_attempt) AS attempt,
            (array_agg(e.occurred_at ORDER BY e.sequence) FILTER (WHERE e.event_type = 'StepDispatched'))[1] AS started_at,
            (array_agg(CASE WHEN r.step_to IN ('completed', 'failed', 'skipped') THEN e.occurred_at END ORDER BY e.sequence DESC)
                FILTER (WHERE r.step_to IS NOT NULL))[1] AS completed_at,
            (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepDispatched'))[1] AS dispatch,
            (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepCompleted'))[1] AS completion,
            (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepFailed')))[1] AS closing,
            (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'InputReceived'))[1] AS receipt,
            (array_agg(e.child_execution_id ORDER BY e.sequence DESC) FILTER (WHERE e.child_execution_id IS NOT NULL))[1]
                AS child_execution_id
        FROM unnest(moves) e
        JOIN state_rules r ON r.event_type = e.event_type
        WHERE e.event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped',
            'ChildExecutionLinked', 'InputReceived')
        GROUP BY e.step_id
    ) m
$$;

CREATE FUNCTION call_moves(moves event_move[])
RETURNS TABLE (
    call_id uuid, opened boolean, status text, ended_at timestamptz, error_message text, approved_by text, model text,
    input_tokens bigint, output_tokens bigint, spent_tokens bigint, total_cost numeric, estimated_cost numeric, events jsonb
)
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    SELECT
        e.call_id,
        bool_or(e.event_type = 'StepDispatched'),
        max(CASE e.event_type WHEN 'StepCompleted' THEN 'completed' WHEN 'StepFailed' THEN 'failed' END),
        max(e.occurred_at) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepFailed')),
        max(e.error_message) FILTER (WHERE e.event_type = 'StepFailed'),
        (array_agg(e.operator_id ORDER BY e.sequence DESC) FILTER (WHERE e.decision = 'approved' AND e.operator_id IS NOT NULL))[1],
        (array_agg(e.model ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'TokensUpdated'))[1],
        coalesce(sum(e.input_tokens), 0)::bigint,
        coalesce(sum(e.output_tokens), 0)::bigint,
        coalesce(sum(e.spent_tokens), 0)::bigint,
        coalesce(sum(e.cost_usd), 0),
        coalesce(sum(e.estimated_cost_usd), 0),
        ('[' || string_agg(e.summary, ', ' ORDER BY e.sequence) || ']')::jsonb
    FROM unnest(moves) e
    WHERE e.call_id IS NOT NULL
    GROUP BY e.call_id
$$;

CREATE FUNCTION status_of(state text) RETURNS execution_status
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (CASE state WHEN 'awaiting_input' THEN 'paused' ELSE state END)::execution_status;

CREATE FUNCTION progress_of(state text, done bigint, total bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN state = 'completed' THEN 100 WHEN total = 0 THEN 0 ELSE round(100.0 * done / total, 2) END;

CREATE TYPE context_change AS (sequence bigint, output jsonb, patch jsonb);

CREATE FUNCTION context_of(context jsonb, changes context_change[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = ledger, pg_temp AS $$
DECLARE
    change context_change;
BEGIN
    IF changes IS NOT NULL THEN
        FOREACH change IN ARRAY changes LOOP
            context := CASE WHEN change.patch IS NULL THEN context || change.output ELSE merge_patch(context, change.patch) END;
        END LOOP;
    END IF;
    RETURN context;
END $$;

CREATE FUNCTION execution_moves(moves event_move[], ends text[])
RETURNS TABLE (
    execution_id uuid, created boolean, state text, context_changes context_change[], current_step_id uuid,
    steps_done uuid[], approvals bigint, approved_by text, total_cost numeric, estimated_cost numeric,
    spent_tokens bigint, events jsonb, output_data jsonb, error_message text, error_details jsonb,
    started_at timestamptz, paused_at timestamptz, resumed_at timestamptz, ended_at timestamptz
)
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    -- What the events leave of each execution that they move.
    SELECT
        e.execution_id,
        bool_or(e.event_type = 'WorkflowCreated'),
        (array_agg(r.execution_to ORDER BY e.sequence DESC) FILTER (WHERE r.execution_to IS NOT NULL))[1],
        array_agg(ROW(
            e.sequence,
            CASE e.event_type WHEN 'StepCompleted' THEN jsonb_build_object(
                'step_' || s.step_order || '_output', coalesce((e.payload -> 'output')::jsonb, 'null')) END,
            CASE e.event_type WHEN 'ContextUpdated' THEN (e.payload -> 'patch')::jsonb END
        )::context_change ORDER BY e.sequence) FILTER (WHERE e.event_type = 'ContextUpdated' OR s.step_order IS NOT NULL),
        (array_agg(e.step_id ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepDispatched'))[1],
        array_agg(e.step_id) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepSkipped')),
        count(*) FILTER (WHERE e.event_type = 'ApprovalRequested')
            - count(*) FILTER (WHERE e.event_type = 'ApprovalApplied'),
        (array_agg(e.operator_id ORDER BY e.sequence DESC) FILTER (WHERE e.decision = 'approved' AND e.operator_id IS NOT NULL))[1],
        coalesce(sum(e.cost_usd), 0),
        coalesce(sum(e.estimated_cost_usd), 0),
        coalesce(sum(e.spent_tokens), 0)::bigint,
        ('[' || string_agg(e.summary, ', ' ORDER BY e.sequence) FILTER (WHERE e.sequence > l.last_sequence - 20) || ']')::jsonb,
        (array_agg(member(e.payload, 'output')) FILTER (WHERE e.event_type = 'WorkflowCompleted'))[1],
        max(coalesce(e.error_message, e.reason)) FILTER (WHERE e.event_type = ANY (ends)),
        (array_agg(error_details_of(e.payload, e.error_code)) FILTER (WHERE e.event_type = 'WorkflowFailed'))[1],
        min(e.occurred_at) FILTER (WHERE e.event_type = 'WorkflowStarted'),
        (array_agg(e.occurred_at ORDER BY e.sequence DESC)
            FILTER (WHERE e.event_type IN ('WorkflowPaused', 'InputRequested')))[1],
        (array_agg(e.occurred_at ORDER BY e.sequence DESC)
            FILTER (WHERE e.event_type IN ('WorkflowResumed', 'InputReceived')))[1],
        max(e.occurred_at) FILTER (WHERE e.event_type = ANY (ends))
    FROM unnest(moves) e
    JOIN (SELECT m.execution_id, max(m.sequence) AS last_sequence FROM unnest(moves) m GROUP BY m.execution_id) l
        ON l.execution_id = e.execution_id
    JOIN state_rules r ON r.event_type = e.event_type
    -- Only top-level steps write an output into the context.
    LEFT JOIN (
        SELECT w.id, w.step_order FROM workflow_steps w
        WHERE w.parent_step_id IS NULL
            AND w.id = ANY (ARRAY(SELECT c.step_id FROM unnest(moves) c WHERE c.event_type = 'StepCompleted'))
    ) s ON e.event_type = 'StepCompleted' AND s.id = e.step_id
    GROUP BY e.execution_id
$$;

CREATE FUNCTION project(moves event_move[], whole workflow_events[], types text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = ledger, pg_temp
-- Tables are reached through arrays of keys, never row by row: a join of a batch with a table that has grown since it
-- was last analysed would be planned as a scan of all of it.
AS $$
DECLARE
    execution_ids uuid[];
    step_ids uuid[];
    call_ids uuid[];
    created_ids uuid[] := ARRAY(SELECT e.execution_id FROM unnest(whole) e WHERE e.event_type = 'WorkflowCreated');
    ended event_move[];
    ended_ids uuid[];
    new_steps uuid[];
    ends CONSTANT text[] := ARRAY[
        'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted'];
BEGIN
    SELECT
        array_agg(DISTINCT e.execution_id),
        array_agg(DISTINCT e.step_id) FILTER (WHERE e.step_id IS NOT NULL),
        array_agg(DISTINCT e.call_id) FILTER (WHERE e.call_id IS NOT NULL)
    INTO execution_ids, step_ids, call_ids
    FROM unnest(moves) e;

    IF types && ARRAY['WorkflowCreated', 'IterationStarted', 'StepDispatched'] THEN
        -- New steps go in as the whole batch leaves them: inserting and then updating would write each index twice.
        WITH added AS (
            INSERT INTO workflow_steps (
                id, execution_id, parent_step_id, path, step_order, step_name, step_type, agent_id, agent_name,
                template_step_id, step_config, status, attempt, max_attempts, started_at, completed_at, input_data,
                output_data, user_input, tool_name, tool_parameters, tool_result, error_message, error_details,
                child_execution_id, metadata
            )
            SELECT
                p.step_id, e.execution_id, p.parent_step_id, p.path, p.step_order, p.step_name, p.step_type::step_type,
                -- What was deleted meanwhile is named by the event alone.
                CASE WHEN NOT EXISTS (SELECT FROM forgotten_references f WHERE f.id = p.agent_id) THEN p.agent_id END,
                p.agent_name,
                CASE WHEN NOT EXISTS (SELECT FROM forgotten_references f WHERE f.id = p.template_step_id)
                    THEN p.template_step_id END,
                coalesce(m.step_config, p.config),
                coalesce(m.status, 'pending')::step_status, coalesce(m.attempt, 1), p.max_attempts, m.started_at,
                m.completed_at, m.input_data, m.output_data, m.user_input, m.tool_name, m.tool_parameters,
                m.tool_result, m.error_message, m.error_details, m.child_execution_id, p.metadata
            FROM unnest(whole) e
            CROSS JOIN LATERAL planned_steps(e.event_type, e.payload) p
            LEFT JOIN step_moves(moves) m ON m.step_id = p.step_id
            WHERE e.event_type IN ('WorkflowCreated', 'IterationStarted', 'StepDispatched')
            RETURNING id
        )
        SELECT array_agg(id) INTO new_steps FROM added;
    END IF;

    IF EXISTS (
        SELECT e.step_id FROM unnest(moves) e
        WHERE e.event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped',
            'ChildExecutionLinked', 'InputReceived')
        EXCEPT SELECT n FROM unnest(new_steps) n)
    THEN
        UPDATE workflow_steps s SET
            status = coalesce(m.status::step_status, s.status),
            attempt = coalesce(m.attempt, s.attempt),
            started_at = coalesce(s.started_at, m.started_at),
            completed_at = CASE WHEN m.status IS NULL THEN s.completed_at ELSE m.completed_at END,
            input_data = CASE WHEN m.dispatched THEN m.input_data ELSE s.input_data END,
            step_config = coalesce(m.step_config, s.step_config),
            tool_name = CASE WHEN m.dispatched THEN m.tool_name ELSE s.tool_name END,
            tool_parameters = CASE WHEN m.dispatched THEN m.tool_parameters ELSE s.tool_parameters END,
            output_data = CASE WHEN m.completed THEN m.output_data ELSE s.output_data END,
            tool_result = CASE WHEN m.completed THEN m.tool_result ELSE s.tool_result END,
            error_message = CASE WHEN m.closed THEN m.error_message ELSE s.error_message END,
            error_details = CASE WHEN m.closed THEN m.error_details ELSE s.error_details END,
            child_execution_id = coalesce(m.child_execution_id, s.child_execution_id),
            user_input = CASE WHEN m.received THEN m.user_input ELSE s.user_input END
        FROM step_moves(moves) m
        WHERE s.id = ANY (step_ids) AND s.id = m.step_id
            AND NOT EXISTS (SELECT FROM unnest(new_steps) n WHERE n = m.step_id);
    END IF;

    IF 'StepDispatched' = ANY (types) THEN
        INSERT INTO executions (
            id, execution_id, step_id, agent_id, agent_name, tool_name, attempt, triggered_by, started_at,
            status, ended_at, error_message, approved_by, model, input_tokens, output_tokens, spent_tokens, total_cost,
            estimated_cost, events
        )
        SELECT
            e.call_id, e.execution_id, e.step_id,
            CASE WHEN NOT EXISTS (SELECT FROM forgotten_references f WHERE f.id = e.agent_id) THEN e.agent_id END,
            e.agent_name, e.tool_name, e.attempt, e.operator_id, e.occurred_at, coalesce(m.status, 'running')::call_status, m.ended_at, m.error_message, m.approved_by, m.model,
            m.input_tokens, m.output_tokens, m.spent_tokens, m.total_cost, m.estimated_cost, last_items(m.events, 20)
        FROM unnest(moves) e
        JOIN call_moves(moves) m ON m.call_id = e.call_id
        WHERE e.event_type = 'StepDispatched';
    END IF;

    IF EXISTS (
        SELECT e.call_id FROM unnest(moves) e WHERE e.call_id IS NOT NULL
        EXCEPT SELECT e.call_id FROM unnest(moves) e WHERE e.event_type = 'StepDispatched')
    THEN
        UPDATE executions c SET
            status = coalesce(m.status::call_status, c.status),
            ended_at = coalesce(m.ended_at, c.ended_at),
            error_message = coalesce(m.error_message, c.error_message),
            approved_by = coalesce(m.approved_by, c.approved_by),
            model = coalesce(m.model, c.model),
            input_tokens = c.input_tokens + m.input_tokens,
            output_tokens = c.output_tokens + m.output_tokens,
            spent_tokens = c.spent_tokens + m.spent_tokens,
            total_cost = c.total_cost + m.total_cost,
            estimated_cost = c.estimated_cost + m.estimated_cost,
            events = last_items(c.events || m.events, 20)
        FROM call_moves(moves) m
        WHERE c.id = ANY (call_ids) AND c.id = m.call_id AND NOT m.opened;
    END IF;

    IF types && ARRAY['ApprovalRequested', 'ApprovalApplied'] THEN
        INSERT INTO workflow_approvals (
            id, execution_id, step_id, call_id, subject, requested_from, details, status, requested_at
        )
        SELECT
            e.approval_id, e.execution_id, e.step_id, e.call_id, e.approval_subject, e.requested_from,
            object_member(e.payload, 'details'), 'pending', e.occurred_at
        FROM unnest(whole) e
        WHERE e.event_type = 'ApprovalRequested';
        UPDATE workflow_approvals a SET
            status = e.decision, decided_at = e.occurred_at, decided_by = e.operator_id, comment = e.decision_comment
        FROM unnest(whole) e
        WHERE a.execution_id = ANY (execution_ids) AND e.event_type = 'ApprovalApplied' AND a.id = e.approval_id
            AND a.execution_id = e.execution_id;
    END IF;

    IF 'ArtifactRecorded' = ANY (types) THEN
        INSERT INTO workflow_artifacts (
            id, execution_id, step_id, artifact_type, name, uri, size_bytes, content_type, sha256, metadata, recorded_at
        )
        SELECT
            e.artifact_id, e.execution_id, e.step_id, e.artifact_type::artifact_type, e.artifact_name, e.uri,
            e.size_bytes, e.content_type, e.sha256, object_member(e.payload, 'metadata'), e.occurred_at
        FROM unnest(whole) e
        WHERE e.event_type = 'ArtifactRecorded';
    END IF;

    IF 'LogRecorded' = ANY (types) THEN
        INSERT INTO execution_log (execution_id, sequence, "timestamp", level, step_index, step_name, message, details)
        SELECT
            e.execution_id, e.sequence, e.occurred_at, e.log_level, s.step_order, e.step_name, e.message,
            object_member(e.payload, 'details')
        FROM unnest(whole) e
        LEFT JOIN (SELECT * FROM workflow_steps WHERE id = ANY (step_ids)) s ON s.id = e.step_id
        WHERE e.event_type = 'LogRecorded';
    END IF;

    IF 'TokensUpdated' = ANY (types) THEN
        INSERT INTO usage_keys (execution_id, model_call_id)
        SELECT e.execution_id, e.model_call_id FROM unnest(moves) e WHERE e.event_type = 'TokensUpdated';
    END IF;

    IF types && ends THEN
        -- An end closes what is open.
        ended := ARRAY(SELECT e FROM unnest(moves) e WHERE e.event_type = ANY (ends));
        ended_ids := ARRAY(SELECT e.execution_id FROM unnest(ended) e);
        UPDATE executions c SET status = 'aborted', ended_at = e.occurred_at
        FROM unnest(ended) e
        WHERE c.execution_id = ANY (ended_ids) AND c.status = 'running'
            AND c.execution_id = e.execution_id;
        UPDATE workflow_steps s SET
            status = CASE s.status WHEN 'pending' THEN 'skipped' ELSE 'failed' END::step_status,
            completed_at = e.occurred_at
        FROM unnest(ended) e
        WHERE s.execution_id = ANY (ended_ids) AND s.execution_id = e.execution_id
            AND (s.status = 'pending' OR e.event_type <> 'WorkflowCompleted' AND s.status IN ('running', 'retrying'));
    END IF;

    -- Executions come last, when their steps stand: each row is written once. References to them are checked at commit.
    IF 'WorkflowCreated' = ANY (types) THEN
        INSERT INTO workflow_executions (
            id, execution_kind, template_id, template_version, retry_of, parent_execution_id, parent_step_id,
            workflow_name, workflow_type, mode, drive_id, customer_id, user_id, agent_id, agent_name,
            input_parameters, trigger_context, metadata, budget_usd, budget_tokens, triggered_by, triggered_by_kind,
            status, accumulated_context, current_step_id, current_step_order, total_steps, steps_done,
            progress_percentage, approvals_pending, approved_by, total_cost, estimated_cost, spent_tokens, events,
            output_data, error_message, error_details, started_at, paused_at, resumed_at, completed_at, failed_at,
            cancelled_at, aborted_at, timed_out_at, ended_at
        )
        SELECT
            m.execution_id, c.execution_kind::execution_kind, c.template_id, c.template_version, c.retry_of,
            c.parent_execution_id, c.parent_step_id, c.workflow_name, c.workflow_type::workflow_type, c.mode, c.drive_id,
            c.customer_id, c.user_id, c.agent_id, c.agent_name, object_member(c.payload, 'parameters'),
            object_member(c.payload, 'trigger_context'), object_member(c.payload, 'metadata'), c.budget_usd,
            c.budget_tokens, c.triggered_by, c.triggered_by_kind, status_of(m.state),
            context_of(
                coalesce(nullif(member(c.payload, 'input'), '{}'), object_member(c.payload, 'parameters')), m.context_changes),
            m.current_step_id, o.step_order, coalesce(s.total, 0), coalesce(s.done, 0),
            progress_of(m.state, coalesce(s.done, 0), coalesce(s.total, 0)), m.approvals, m.approved_by, m.total_cost, m.estimated_cost,
            m.spent_tokens, m.events, m.output_data, m.error_message, m.error_details, m.started_at,
            m.paused_at, m.resumed_at,
            CASE m.state WHEN 'completed' THEN m.ended_at END, CASE m.state WHEN 'failed' THEN m.ended_at END,
            CASE m.state WHEN 'cancelled' THEN m.ended_at END, CASE m.state WHEN 'aborted' THEN m.ended_at END,
            CASE m.state WHEN 'timeout' THEN m.ended_at END, m.ended_at
        FROM execution_moves(moves, ends) m
        JOIN unnest(whole) c ON c.execution_id = m.execution_id AND c.event_type = 'WorkflowCreated'
        LEFT JOIN (
            SELECT
                w.execution_id,
                count(*) FILTER (WHERE w.parent_step_id IS NULL) AS total,
                count(*) FILTER (WHERE w.parent_step_id IS NULL AND w.status IN ('completed', 'skipped')) AS done
            FROM workflow_steps w
            WHERE w.execution_id = ANY (created_ids)
            GROUP BY w.execution_id
        ) s ON s.execution_id = m.execution_id
        LEFT JOIN (
            SELECT w.id, w.step_order FROM workflow_steps w WHERE w.execution_id = ANY (created_ids)
        ) o ON o.id = m.current_step_id;
    END IF;

    IF cardinality(execution_ids) > cardinality(created_ids) THEN
        UPDATE workflow_executions x SET
            status = coalesce(status_of(m.state), x.status),
            accumulated_context = context_of(x.accumulated_context, m.context_changes),
            current_step_id = coalesce(m.current_step_id, x.current_step_id),
            current_step_order = coalesce(
                (SELECT s.step_order FROM workflow_steps s WHERE s.id = m.current_step_id), x.current_step_order),
            total_steps = g.total,
            steps_done = g.done,
            progress_percentage = progress_of(coalesce(m.state, x.status::text), g.done, g.total),
            approvals_pending = x.approvals_pending + m.approvals,
            approved_by = coalesce(m.approved_by, x.approved_by),
            total_cost = x.total_cost + m.total_cost,
            estimated_cost = x.estimated_cost + m.estimated_cost,
            spent_tokens = x.spent_tokens + m.spent_tokens,
            events = last_items(x.events || m.events, 20),
            output_data = CASE WHEN m.ended_at IS NULL THEN x.output_data ELSE m.output_data END,
            error_message = CASE WHEN m.ended_at IS NULL THEN x.error_message ELSE m.error_message END,
            error_details = CASE WHEN m.ended_at IS NULL THEN x.error_details ELSE m.error_details END,
            started_at = coalesce(x.started_at, m.started_at),
            paused_at = coalesce(m.paused_at, x.paused_at),
            resumed_at = coalesce(m.resumed_at, x.resumed_at),
            completed_at = coalesce(x.completed_at, CASE m.state WHEN 'completed' THEN m.ended_at END),
            failed_at = coalesce(x.failed_at, CASE m.state WHEN 'failed' THEN m.ended_at END),
            cancelled_at = coalesce(x.cancelled_at, CASE m.state WHEN 'cancelled' THEN m.ended_at END),
            aborted_at = coalesce(x.aborted_at, CASE m.state WHEN 'aborted' THEN m.ended_at END),
            timed_out_at = coalesce(x.timed_out_at, CASE m.state WHEN 'timeout' THEN m.ended_at END),
            ended_at = coalesce(x.ended_at, m.ended_at)
        FROM execution_moves(moves, ends) m
        JOIN (SELECT * FROM workflow_executions WHERE id = ANY (execution_ids)) old ON old.id = m.execution_id
        LEFT JOIN (
            SELECT s.execution_id, count(*) AS added FROM workflow_steps s
            WHERE s.id = ANY (new_steps) AND s.parent_step_id IS NULL
            GROUP BY s.execution_id
        ) n ON n.execution_id = m.execution_id
        CROSS JOIN LATERAL (
            SELECT
                old.total_steps + coalesce(n.added, 0) AS total,
                -- Counted anew only at an end, which skips what is pending: a recount at each step would be quadratic.
                CASE
                    WHEN m.ended_at IS NOT NULL THEN (
                        SELECT count(*) FROM workflow_steps s
                        WHERE s.execution_id = m.execution_id AND s.parent_step_id IS NULL
                            AND s.status IN ('completed', 'skipped'))
                    ELSE old.steps_done + (
                        SELECT count(*) FROM workflow_steps s
                        WHERE s.id = ANY (m.steps_done) AND s.parent_step_id IS NULL)
                END AS done
        ) g
        WHERE x.id = ANY (execution_ids) AND x.id = m.execution_id AND NOT m.created;
    END IF;
END $$;


REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    append(uuid, json, bigint, text, boolean, bytea), append_staged(uuid, boolean, bigint), staged_weeks(uuid, boolean),
    clear_staging(interval), discard_staged(uuid)
    TO ledger_application;
GRANT EXECUTE ON FUNCTION leaf(workflow_events) TO ledger_reader, ledger_application, ledger_archiver;
