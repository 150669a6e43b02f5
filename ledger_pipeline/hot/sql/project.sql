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
