-- Moves the projections by the events just stored; the same rules as the fold.

CREATE FUNCTION spent_tokens(e workflow_events) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (e).input_tokens + (e).cache_read_tokens + (e).cache_write_5m_tokens + (e).cache_write_1h_tokens
    + (e).output_tokens + (e).reasoning_tokens + (e).input_audio_tokens + (e).cache_audio_read_tokens
    + (e).output_audio_tokens + (e).input_image_tokens + (e).output_image_tokens;

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

CREATE FUNCTION summary_of(e workflow_events) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'sequence', (e).sequence, 'event_type', (e).event_type,
    'occurred_at', to_char((e).occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));

CREATE FUNCTION project(stored workflow_events[], types text[]) RETURNS void
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
DECLARE
    ends CONSTANT text[] := ARRAY[
        'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted'];
BEGIN
    IF 'WorkflowCreated' = ANY (types) THEN
        INSERT INTO workflow_executions (
            id, execution_kind, template_id, template_version, retry_of, parent_execution_id, parent_step_id,
            workflow_name, workflow_type, mode, drive_id, customer_id, user_id, agent_id, agent_name, status,
            input_parameters, trigger_context, accumulated_context, metadata, budget_usd, budget_tokens,
            triggered_by, triggered_by_kind
        )
        SELECT
            e.execution_id, e.execution_kind::execution_kind, e.template_id, e.template_version, e.retry_of,
            e.parent_execution_id, e.parent_step_id, e.workflow_name, e.workflow_type::workflow_type, e.mode,
            e.drive_id, e.customer_id, e.user_id, e.agent_id, e.agent_name, 'pending',
            object_member(e.payload, 'parameters'), object_member(e.payload, 'trigger_context'),
            coalesce(nullif(member(e.payload, 'input'), '{}'), object_member(e.payload, 'parameters')),
            object_member(e.payload, 'metadata'), e.budget_usd, e.budget_tokens, e.triggered_by, e.triggered_by_kind
        FROM unnest(stored) e
        WHERE e.event_type = 'WorkflowCreated';
    END IF;

    IF types && ARRAY['WorkflowCreated', 'IterationStarted', 'StepDispatched'] THEN
        WITH added AS (
            INSERT INTO workflow_steps (
                id, execution_id, parent_step_id, path, step_order, step_name, step_type, agent_id, agent_name,
                template_step_id, step_config, status, max_attempts, metadata
            )
            SELECT
                p.step_id, e.execution_id, p.parent_step_id, p.path, p.step_order, p.step_name, p.step_type::step_type,
                p.agent_id, p.agent_name, p.template_step_id, p.config, 'pending', p.max_attempts, p.metadata
            FROM unnest(stored) e
            CROSS JOIN LATERAL planned_steps(e.event_type, e.payload) p
            WHERE e.event_type IN ('WorkflowCreated', 'IterationStarted', 'StepDispatched')
            RETURNING execution_id, parent_step_id
        )
        UPDATE workflow_executions x SET total_steps = x.total_steps + a.top_level
        FROM (
            SELECT execution_id, count(*) AS top_level FROM added WHERE parent_step_id IS NULL GROUP BY execution_id
        ) a
        WHERE x.id = a.execution_id;
    END IF;

    IF types && ARRAY[
        'StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped', 'ChildExecutionLinked',
        'InputReceived']
    THEN
        UPDATE workflow_steps s SET
            status = coalesce(m.status::step_status, s.status),
            attempt = coalesce(m.attempt, s.attempt),
            started_at = coalesce(s.started_at, m.started_at),
            completed_at = CASE WHEN m.moved THEN m.completed_at ELSE s.completed_at END,
            input_data = CASE WHEN m.dispatched IS NULL THEN s.input_data ELSE member((m.dispatched).payload, 'input') END,
            step_config = CASE WHEN m.dispatched IS NULL THEN s.step_config
                ELSE coalesce(nullif(member((m.dispatched).payload, 'config'), '{}'), s.step_config) END,
            tool_name = CASE WHEN m.dispatched IS NULL THEN s.tool_name ELSE (m.dispatched).tool_name END,
            tool_parameters = CASE WHEN m.dispatched IS NULL THEN s.tool_parameters
                ELSE member((m.dispatched).payload, 'tool_parameters') END,
            output_data = CASE WHEN m.completed IS NULL THEN s.output_data ELSE member((m.completed).payload, 'output') END,
            tool_result = CASE WHEN m.completed IS NULL THEN s.tool_result ELSE member((m.completed).payload, 'tool_result') END,
            error_message = CASE WHEN m.closed IS NULL THEN s.error_message ELSE (m.closed).error_message END,
            error_details = CASE
                WHEN m.closed IS NULL THEN s.error_details
                WHEN (m.closed).event_type = 'StepFailed' THEN error_details_of((m.closed).payload, (m.closed).error_code)
            END,
            child_execution_id = coalesce(m.child_execution_id, s.child_execution_id),
            user_input = CASE WHEN m.received IS NULL THEN s.user_input ELSE member((m.received).payload, 'user_input') END
        FROM (
            SELECT
                e.step_id,
                substr(max(marked(e.sequence, r.step_to)), 20) AS status,
                bool_or(r.step_to IS NOT NULL) AS moved,
                max(e.next_attempt) AS attempt,
                min(e.occurred_at) FILTER (WHERE e.event_type = 'StepDispatched') AS started_at,
                (array_agg(CASE WHEN r.step_to IN ('completed', 'failed', 'skipped') THEN e.occurred_at END ORDER BY e.sequence DESC)
                    FILTER (WHERE r.step_to IS NOT NULL))[1] AS completed_at,
                (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepDispatched'))[1] AS dispatched,
                (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepCompleted'))[1] AS completed,
                (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepFailed')))[1] AS closed,
                (array_agg(e ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'InputReceived'))[1] AS received,
                (array_agg(e.child_execution_id ORDER BY e.sequence DESC) FILTER (WHERE e.child_execution_id IS NOT NULL))[1]
                    AS child_execution_id
            FROM unnest(stored) e
            JOIN state_rules r ON r.event_type = e.event_type
            WHERE e.step_id IS NOT NULL
                AND e.event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped',
                    'ChildExecutionLinked', 'InputReceived')
            GROUP BY e.step_id
        ) m
        WHERE s.id = m.step_id;
    END IF;

    IF 'StepDispatched' = ANY (types) THEN
        INSERT INTO executions (
            id, execution_id, step_id, agent_id, agent_name, tool_name, attempt, status, triggered_by, started_at
        )
        SELECT
            e.call_id, e.execution_id, e.step_id, e.agent_id, e.agent_name, e.tool_name, e.attempt, 'running',
            e.operator_id, e.occurred_at
        FROM unnest(stored) e
        WHERE e.event_type = 'StepDispatched';
    END IF;

    IF EXISTS (SELECT FROM unnest(stored) e WHERE e.call_id IS NOT NULL) THEN
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
        FROM (
            SELECT
                e.call_id,
                max(CASE e.event_type WHEN 'StepCompleted' THEN 'completed' WHEN 'StepFailed' THEN 'failed' END) AS status,
                max(e.occurred_at) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepFailed')) AS ended_at,
                max(e.error_message) FILTER (WHERE e.event_type = 'StepFailed') AS error_message,
                (array_agg(e.operator_id ORDER BY e.sequence DESC) FILTER (WHERE e.decision = 'approved'))[1] AS approved_by,
                (array_agg(e.model ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'TokensUpdated'))[1] AS model,
                coalesce(sum(e.input_tokens), 0) AS input_tokens,
                coalesce(sum(e.output_tokens), 0) AS output_tokens,
                coalesce(sum(spent_tokens(e)), 0) AS spent_tokens,
                coalesce(sum(e.cost_usd), 0) AS total_cost,
                coalesce(sum(e.estimated_cost_usd), 0) AS estimated_cost,
                jsonb_agg(summary_of(e) ORDER BY e.sequence) AS events
            FROM unnest(stored) e
            WHERE e.call_id IS NOT NULL
            GROUP BY e.call_id
        ) m
        WHERE c.id = m.call_id;
    END IF;

    IF types && ARRAY['ApprovalRequested', 'ApprovalApplied'] THEN
        INSERT INTO workflow_approvals (
            id, execution_id, step_id, call_id, subject, requested_from, details, status, requested_at
        )
        SELECT
            e.approval_id, e.execution_id, e.step_id, e.call_id, e.approval_subject, e.requested_from,
            object_member(e.payload, 'details'), 'pending', e.occurred_at
        FROM unnest(stored) e
        WHERE e.event_type = 'ApprovalRequested';
        UPDATE workflow_approvals a SET
            status = e.decision, decided_at = e.occurred_at, decided_by = e.operator_id, comment = e.decision_comment
        FROM unnest(stored) e
        WHERE e.event_type = 'ApprovalApplied' AND a.id = e.approval_id;
    END IF;

    IF 'ArtifactRecorded' = ANY (types) THEN
        INSERT INTO workflow_artifacts (
            id, execution_id, step_id, artifact_type, name, uri, size_bytes, content_type, sha256, metadata, recorded_at
        )
        SELECT
            e.artifact_id, e.execution_id, e.step_id, e.artifact_type::artifact_type, e.artifact_name, e.uri,
            e.size_bytes, e.content_type, e.sha256, object_member(e.payload, 'metadata'), e.occurred_at
        FROM unnest(stored) e
        WHERE e.event_type = 'ArtifactRecorded';
    END IF;

    IF 'LogRecorded' = ANY (types) THEN
        INSERT INTO execution_log (execution_id, sequence, "timestamp", level, step_index, step_name, message, details)
        SELECT
            e.execution_id, e.sequence, e.occurred_at, e.log_level, s.step_order, e.step_name, e.message,
            object_member(e.payload, 'details')
        FROM unnest(stored) e
        LEFT JOIN workflow_steps s ON s.id = e.step_id
        WHERE e.event_type = 'LogRecorded';
    END IF;

    IF 'TokensUpdated' = ANY (types) THEN
        INSERT INTO usage_keys (execution_id, model_call_id)
        SELECT e.execution_id, e.model_call_id FROM unnest(stored) e WHERE e.event_type = 'TokensUpdated';
    END IF;

    IF types && ends THEN
        -- An end closes what is open.
        UPDATE executions c SET status = 'aborted', ended_at = e.occurred_at
        FROM unnest(stored) e
        WHERE e.event_type = ANY (ends) AND c.execution_id = e.execution_id AND c.status = 'running';
        UPDATE workflow_steps s SET
            status = CASE s.status WHEN 'pending' THEN 'skipped' ELSE 'failed' END::step_status,
            completed_at = e.occurred_at
        FROM unnest(stored) e
        WHERE e.event_type = ANY (ends) AND s.execution_id = e.execution_id
            AND (s.status = 'pending' OR e.event_type <> 'WorkflowCompleted' AND s.status IN ('running', 'retrying'));
    END IF;

    UPDATE workflow_executions x SET
        status = coalesce(CASE m.state WHEN 'awaiting_input' THEN 'paused' ELSE m.state END::execution_status, x.status),
        accumulated_context = CASE
            WHEN m.changes_context THEN (
                SELECT accumulate_context(
                    x.accumulated_context,
                    CASE WHEN e.event_type = 'StepCompleted' THEN jsonb_build_object(
                        'step_' || s.step_order || '_output', coalesce((e.payload -> 'output')::jsonb, 'null')) END,
                    CASE WHEN e.event_type = 'ContextUpdated' THEN (e.payload -> 'patch')::jsonb END
                    ORDER BY e.sequence)
                FROM unnest(m.context_events) e
                LEFT JOIN workflow_steps s ON s.id = e.step_id
                WHERE e.event_type = 'ContextUpdated' OR s.parent_step_id IS NULL
            )
            ELSE x.accumulated_context
        END,
        current_step_id = coalesce(m.current_step_id, x.current_step_id),
        current_step_order = coalesce(
            (SELECT s.step_order FROM workflow_steps s WHERE s.id = m.current_step_id), x.current_step_order),
        approvals_pending = x.approvals_pending + m.approvals,
        approved_by = coalesce(m.approved_by, x.approved_by),
        total_cost = x.total_cost + m.total_cost,
        estimated_cost = x.estimated_cost + m.estimated_cost,
        spent_tokens = x.spent_tokens + m.spent_tokens,
        events = last_items(x.events || m.events, 20),
        output_data = CASE WHEN m.ending IS NULL THEN x.output_data ELSE member((m.ending).payload, 'output') END,
        error_message = CASE WHEN m.ending IS NULL THEN x.error_message
            ELSE coalesce((m.ending).error_message, (m.ending).reason) END,
        error_details = CASE
            WHEN m.ending IS NULL THEN x.error_details
            WHEN (m.ending).event_type = 'WorkflowFailed' THEN error_details_of((m.ending).payload, (m.ending).error_code)
        END,
        started_at = coalesce(x.started_at, m.started_at),
        paused_at = coalesce(m.paused_at, x.paused_at),
        resumed_at = coalesce(m.resumed_at, x.resumed_at),
        completed_at = coalesce(x.completed_at, CASE m.state WHEN 'completed' THEN (m.ending).occurred_at END),
        failed_at = coalesce(x.failed_at, CASE m.state WHEN 'failed' THEN (m.ending).occurred_at END),
        cancelled_at = coalesce(x.cancelled_at, CASE m.state WHEN 'cancelled' THEN (m.ending).occurred_at END),
        aborted_at = coalesce(x.aborted_at, CASE m.state WHEN 'aborted' THEN (m.ending).occurred_at END),
        timed_out_at = coalesce(x.timed_out_at, CASE m.state WHEN 'timeout' THEN (m.ending).occurred_at END),
        ended_at = coalesce(x.ended_at, (m.ending).occurred_at),
        steps_done = p.done,
        progress_percentage = CASE
            WHEN coalesce(m.state, x.status::text) = 'completed' THEN 100
            WHEN x.total_steps = 0 THEN 0
            ELSE round(100.0 * p.done / x.total_steps, 2)
        END
    FROM (
        SELECT
            e.execution_id,
            substr(max(marked(e.sequence, r.execution_to)), 20) AS state,
            coalesce(bool_or(e.event_type IN ('StepCompleted', 'ContextUpdated')), false) AS changes_context,
            array_agg(e) FILTER (WHERE e.event_type IN ('StepCompleted', 'ContextUpdated')) AS context_events,
            (array_agg(e.step_id ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepDispatched'))[1] AS current_step_id,
            count(*) FILTER (WHERE e.event_type = 'ApprovalRequested')
                - count(*) FILTER (WHERE e.event_type = 'ApprovalApplied') AS approvals,
            (array_agg(e.operator_id ORDER BY e.sequence DESC) FILTER (WHERE e.decision = 'approved'))[1] AS approved_by,
            coalesce(sum(e.cost_usd), 0) AS total_cost,
            coalesce(sum(e.estimated_cost_usd), 0) AS estimated_cost,
            coalesce(sum(spent_tokens(e)), 0) AS spent_tokens,
            jsonb_agg(summary_of(e) ORDER BY e.sequence) AS events,
            (array_agg(e) FILTER (WHERE e.event_type = ANY (ends)))[1] AS ending,
            min(e.occurred_at) FILTER (WHERE e.event_type = 'WorkflowStarted') AS started_at,
            (array_agg(e.occurred_at ORDER BY e.sequence DESC)
                FILTER (WHERE e.event_type IN ('WorkflowPaused', 'InputRequested')))[1] AS paused_at,
            (array_agg(e.occurred_at ORDER BY e.sequence DESC)
                FILTER (WHERE e.event_type IN ('WorkflowResumed', 'InputReceived')))[1] AS resumed_at,
            array_agg(e.step_id) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepSkipped')) AS steps_done
        FROM unnest(stored) e
        JOIN state_rules r ON r.event_type = e.event_type
        GROUP BY e.execution_id
    ) m
    JOIN workflow_executions old ON old.id = m.execution_id
    CROSS JOIN LATERAL (
        -- Counted anew only at an end, which skips what is pending: a recount at each step would be quadratic.
        SELECT CASE
            WHEN (m.ending).event_id IS NOT NULL THEN (
                SELECT count(*) FROM workflow_steps s
                WHERE s.execution_id = m.execution_id AND s.parent_step_id IS NULL
                    AND s.status IN ('completed', 'skipped'))
            ELSE old.steps_done + (
                SELECT count(*) FROM workflow_steps s
                WHERE s.id = ANY (m.steps_done) AND s.parent_step_id IS NULL)
        END AS done
    ) p
    WHERE x.id = m.execution_id;
END $$;
