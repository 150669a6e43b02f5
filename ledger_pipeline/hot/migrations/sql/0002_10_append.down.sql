DROP FUNCTION project;
DROP FUNCTION execution_moves;
DROP FUNCTION context_of;
DROP TYPE context_change;
DROP FUNCTION progress_of;
DROP FUNCTION status_of;
DROP FUNCTION call_moves;
DROP FUNCTION step_moves;
DROP FUNCTION error_details_of;
DROP FUNCTION object_member;
DROP FUNCTION member;
DROP FUNCTION discard_staged;
DROP FUNCTION clear_staging;
DROP FUNCTION append_staged;
DROP FUNCTION staged_weeks;
DROP FUNCTION append;
DROP FUNCTION apply_batch;
DROP FUNCTION digest_batch;
DROP TYPE digested;
DROP FUNCTION prepare_batch;
DROP TYPE event_move;
DROP FUNCTION budget_breaches;
DROP FUNCTION begin_append;
DROP FUNCTION payload_fault;
DROP FUNCTION plan_fault;
DROP FUNCTION is_uuid;
DROP FUNCTION planned_steps;
DROP FUNCTION leaf;
DROP AGGREGATE chain_hash(bytea, bytea);
DROP FUNCTION chain_step;
DROP FUNCTION marked;
DROP FUNCTION stripe;

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
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    -- BudgetExceeded rows that the batch lacks: each right after the usage that makes its execution's total cross.
    WITH batch AS (
        SELECT b.* FROM unnest(given) b
    ),
    limits AS (
        SELECT
            e.execution_id,
            coalesce(x.budget_usd, c.budget_usd) AS budget_usd,
            coalesce(x.budget_tokens, c.budget_tokens) AS budget_tokens,
            coalesce(x.total_cost + x.estimated_cost, 0) AS spent_usd,
            coalesce(x.spent_tokens, 0) AS spent_tokens
        FROM (SELECT DISTINCT execution_id FROM batch WHERE event_type = 'TokensUpdated') e
        LEFT JOIN workflow_executions x ON x.id = e.execution_id
        LEFT JOIN batch c ON c.execution_id = e.execution_id AND c.event_type = 'WorkflowCreated'
        WHERE coalesce(x.budget_usd, c.budget_usd) IS NOT NULL OR coalesce(x.budget_tokens, c.budget_tokens) IS NOT NULL
    ),
    spending AS (
        SELECT
            b.*, l.budget_usd AS usd_limit, l.budget_tokens AS tokens_limit,
            coalesce(b.cost_usd, 0) + coalesce(b.estimated_cost_usd, 0) AS usd,
            coalesce(u.tokens, 0) AS tokens,
            l.spent_usd + sum(coalesce(b.cost_usd, 0) + coalesce(b.estimated_cost_usd, 0)) OVER line AS usd_after,
            l.spent_tokens + sum(coalesce(u.tokens, 0)) OVER line AS tokens_after,
            array_agg(CASE WHEN b.event_type = 'BudgetExceeded' THEN b.budget_unit END) OVER (
                PARTITION BY b.execution_id ORDER BY b.ordinal ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING
            ) AS brought
        FROM batch b
        JOIN limits l ON l.execution_id = b.execution_id
        CROSS JOIN LATERAL (
            SELECT b.input_tokens + b.cache_read_tokens + b.cache_write_5m_tokens + b.cache_write_1h_tokens
                + b.output_tokens + b.reasoning_tokens + b.input_audio_tokens + b.cache_audio_read_tokens
                + b.output_audio_tokens + b.input_image_tokens + b.output_image_tokens AS tokens
        ) u
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

CREATE FUNCTION prepare_batch(p_epoch integer, p_tx bigint, given append_staging[], p_history boolean)
RETURNS TABLE (stored workflow_events[], problem text)
LANGUAGE plpgsql
SET search_path = ledger, pg_temp
-- Every join below is of the batch with itself or with an array as small: without statistics the planner would take
-- nested loops, which are quadratic.
SET enable_nestloop = off
SET work_mem = '256MB'
AS $$
-- Numbers, completes, judges and hashes a batch; answers the rows to store, or the first problem.
DECLARE
    server_now timestamptz := clock_timestamp();
    open_week date := (SELECT first_open_week FROM ledger_state);
    execution_ids uuid[] := ARRAY(SELECT DISTINCT g.execution_id FROM unnest(given) g);
    heads execution_heads[] := ARRAY(SELECT h FROM execution_heads h WHERE h.id = ANY (execution_ids));
    rows_of_executions workflow_executions[];
    steps workflow_steps[];
    calls executions[];
    approvals workflow_approvals[];
    usages usage_keys[];
BEGIN
    IF cardinality(heads) > 0 THEN
        rows_of_executions := ARRAY(SELECT x FROM workflow_executions x WHERE x.id = ANY (execution_ids));
        steps := ARRAY(SELECT s FROM workflow_steps s
            WHERE s.id = ANY (ARRAY(SELECT DISTINCT g.step_id FROM unnest(given) g WHERE g.step_id IS NOT NULL)));
        approvals := ARRAY(SELECT a FROM workflow_approvals a
            WHERE a.id = ANY (ARRAY(SELECT DISTINCT g.approval_id FROM unnest(given) g WHERE g.approval_id IS NOT NULL)));
        usages := ARRAY(SELECT u FROM usage_keys u WHERE u.execution_id = ANY (execution_ids) AND u.model_call_id = ANY (
            ARRAY(SELECT g.model_call_id FROM unnest(given) g WHERE g.event_type = 'TokensUpdated')));
    END IF;
    calls := ARRAY(SELECT c FROM executions c
        WHERE c.id = ANY (ARRAY(SELECT DISTINCT g.call_id FROM unnest(given) g WHERE g.call_id IS NOT NULL)));

    RETURN QUERY
    WITH batch AS (
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
        WHERE b.event_type IN ('WorkflowCreated', 'IterationStarted', 'StepDispatched')
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
                PARTITION BY l.approval_id ORDER BY l.ordinal ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 20) AS moved_approval
        FROM lines l
        WHERE l.approval_id IS NOT NULL
    ),
    usage_known AS (
        SELECT l.ordinal, row_number() OVER (PARTITION BY l.execution_id, l.model_call_id ORDER BY l.ordinal) AS nth
        FROM lines l
        WHERE l.event_type = 'TokensUpdated'
    ),
    joined AS (
        SELECT
            b.*, k.nth,
            r.event_type IS NOT NULL AS known_type, r.execution_from, r.step_from, r.call,
            h.id IS NOT NULL AS stored_execution, h.pruned_at,
            coalesce(h.last_sequence, 0) + k.nth AS next_sequence,
            coalesce(h.head_hash, decode(repeat('00', 32), 'hex')) AS hash_before,
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
            s.id IS NOT NULL OR t.planned AS step_exists,
            coalesce(t.moved_step, s.status::text, 'pending') AS step_status,
            coalesce(s.attempt, 1) + t.retries AS step_attempt,
            coalesce(s.max_attempts, t.max_attempts) AS max_attempts,
            CASE WHEN s.id IS NOT NULL OR t.planned THEN coalesce(s.attempt, 1) + t.retries ELSE b.attempt END
                AS known_attempt,
            coalesce(s.step_name, t.step_name, b.step_name) AS known_step_name,
            CASE WHEN s.id IS NULL THEN t.agent_id ELSE s.agent_id END AS step_agent_id,
            CASE WHEN s.id IS NULL THEN t.agent_name ELSE s.agent_name END AS step_agent_name,
            coalesce(f.moved_call, o.status::text) AS call_status,
            coalesce(o.step_id, f.step_id) AS call_step_id,
            coalesce(o.execution_id, f.owner) AS call_owner,
            coalesce(g.moved_approval, a.status) AS approval_status,
            b.event_type = 'TokensUpdated' AND (u.model_call_id IS NOT NULL OR m.nth > 1) AS usage_repeated
        FROM batch b
        JOIN execution_known k ON k.ordinal = b.ordinal
        LEFT JOIN step_known t ON t.ordinal = b.ordinal AND t.turn = 1
        LEFT JOIN call_known f ON f.ordinal = b.ordinal
        LEFT JOIN approval_known g ON g.ordinal = b.ordinal
        LEFT JOIN usage_known m ON m.ordinal = b.ordinal
        LEFT JOIN state_rules r ON r.event_type = b.event_type
        LEFT JOIN unnest(heads) h ON h.id = b.execution_id
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
                WHEN j.occurred_at IS NULL THEN 'occurred_at: is missing'
                WHEN coalesce(j.event_version, 1) <> 1 THEN format('event_version: %s is not known; allowed: 1', j.event_version)
                WHEN j.occurred_at < '1970-01-01 00:00:00Z' THEN 'occurred_at: is before 1970-01-01'
                WHEN j.occurred_at > server_now + interval '5 minutes' THEN format(
                    'occurred_at: %s is more than 5 minutes ahead of the server''s clock (%s)', j.occurred_at, server_now)
                WHEN j.pruned_at IS NOT NULL THEN
                    'execution_id: the execution was pruned and takes no event; open a new one whose parent_execution_id names it'
                WHEN j.event_type = 'WorkflowCreated' AND (j.stored_execution OR j.nth > 1) THEN
                    'execution_id: the execution exists already'
                WHEN j.event_type <> 'WorkflowCreated' AND NOT j.stored_execution AND j.nth = 1 THEN
                    'execution_id: the execution does not exist; its first event must be WorkflowCreated'
                WHEN j.sequence IS NOT NULL AND j.sequence <> j.next_sequence THEN format(
                    'sequence: %s was expected, but the next one is %s', j.sequence, j.next_sequence)
                WHEN cardinality(j.execution_from) > 0 AND j.state_before <> ALL (j.execution_from) THEN
                    CASE WHEN j.state_before IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')
                        THEN format('the execution has ended (%s): only late facts (TokensUpdated, ArtifactRecorded, LogRecorded) may follow',
                            j.state_before)
                        ELSE format('not allowed while the execution is %s; allowed while: %s',
                            j.state_before, array_to_string(j.execution_from, ', '))
                    END
                WHEN j.event_type = 'WorkflowCompleted' AND j.open_calls > 0 THEN format(
                    '%s agent call(s) are still open: complete or fail them first', j.open_calls)
                WHEN cardinality(j.step_from) > 0 AND j.step_id IS NULL THEN 'step_id: is missing'
                WHEN j.step_id IS NOT NULL AND j.step_exists IS NOT TRUE THEN format(
                    'step_id: %s is not a step of this execution', j.step_id)
                WHEN cardinality(j.step_from) > 0 AND j.step_status <> ALL (j.step_from) THEN format(
                    'step_id: step %L is %s; allowed while: %s', j.known_step_name, j.step_status, array_to_string(j.step_from, ', '))
                WHEN j.event_type = 'StepRetried' AND j.next_attempt IS DISTINCT FROM j.step_attempt THEN format(
                    'next_attempt: %s was given, but the next one is %s', j.next_attempt, j.step_attempt)
                WHEN j.event_type = 'StepRetried' AND j.next_attempt > j.max_attempts THEN format(
                    'next_attempt: %s is beyond the step''s maximum of %s', j.next_attempt, j.max_attempts)
                WHEN j.call IS NOT NULL AND j.call_id IS NULL THEN 'call_id: is missing'
                WHEN j.call = 'opens' AND (j.call_status IS NOT NULL OR j.call_owner <> j.execution_id) THEN format(
                    'call_id: %s was used before', j.call_id)
                WHEN j.call IS DISTINCT FROM 'opens' AND j.call_id IS NOT NULL
                    AND (j.call_status IS NULL OR j.call_owner <> j.execution_id) THEN format(
                    'call_id: %s is not a call of this execution', j.call_id)
                WHEN j.call = 'closes' AND j.call_status <> 'running' THEN format(
                    'call_id: %s has ended (%s)', j.call_id, j.call_status)
                WHEN j.call_id IS NOT NULL AND j.step_id IS DISTINCT FROM j.call_step_id AND j.step_id IS NOT NULL THEN format(
                    'call_id: %s belongs to another step', j.call_id)
                WHEN j.event_type = 'ApprovalRequested' AND j.approval_status IS NOT NULL THEN format(
                    'approval_id: %s was requested before', j.approval_id)
                WHEN j.event_type = 'ApprovalApplied' AND j.approval_status IS DISTINCT FROM 'pending' THEN format(
                    'approval_id: %s is %s; allowed while: pending', j.approval_id, coalesce(j.approval_status, 'not requested'))
                WHEN j.usage_repeated THEN format(
                    'model_call_id: %L has its usage recorded already: one per model call', j.model_call_id)
                WHEN j.event_type = 'CostRecalculated' AND j.execution_execution_kind <> 'repricing' THEN
                    'execution_kind: CostRecalculated belongs to an execution of kind repricing'
                WHEN jsonb_typeof(coalesce(j.payload, '{}')::jsonb) <> 'object' THEN 'payload: must be a JSON object'
            END AS problem
        FROM joined j
    ),
    prepared AS (
        SELECT
            j.ordinal, j.problem, j.hash_before,
            coalesce(j.event_id, ledger.uuidv7(j.occurred_at)) AS event_id,
            j.execution_id AS execution_id,
            j.next_sequence AS sequence,
            j.event_type AS event_type,
            coalesce(j.event_version, 1) AS event_version,
            j.assigned_week AS week,
            p_epoch AS epoch,
            p_tx AS tx,
            j.occurred_at AS occurred_at,
            j.assigned_recorded_at AS recorded_at,
            j.execution_workflow_name AS workflow_name,
            j.execution_workflow_type AS workflow_type,
            j.execution_template_id AS template_id,
            j.execution_template_version AS template_version,
            j.execution_mode AS mode,
            j.execution_drive_id AS drive_id,
            j.execution_customer_id AS customer_id,
            j.execution_user_id AS user_id,
            coalesce(j.agent_id, j.step_agent_id, j.execution_agent_id) AS agent_id,
            coalesce(j.agent_name, j.step_agent_name, j.execution_agent_name) AS agent_name,
            j.operator_id AS operator_id,
            j.operator_kind AS operator_kind,
            j.step_id AS step_id,
            j.known_step_name AS step_name,
            j.call_id AS call_id,
            j.known_attempt AS attempt,
            j.source AS source,
            j.source_file AS source_file,
            j.source_line AS source_line,
            j.execution_execution_kind AS execution_kind,
            j.triggered_by AS triggered_by,
            j.triggered_by_kind AS triggered_by_kind,
            j.parent_execution_id AS parent_execution_id,
            j.parent_step_id AS parent_step_id,
            j.retry_of AS retry_of,
            j.budget_usd AS budget_usd,
            j.budget_tokens AS budget_tokens,
            j.reason AS reason,
            j.error_code AS error_code,
            j.error_message AS error_message,
            j.limit_seconds AS limit_seconds,
            j.tool_name AS tool_name,
            j.next_attempt AS next_attempt,
            j.delay_ms AS delay_ms,
            j.branch_condition AS branch_condition,
            j.branch_result AS branch_result,
            j.branch_target AS branch_target,
            j.iteration_index AS iteration_index,
            j.child_execution_id AS child_execution_id,
            j.prompt AS prompt,
            j.approval_id AS approval_id,
            j.approval_subject AS approval_subject,
            j.requested_from AS requested_from,
            j.decision AS decision,
            j.decision_comment AS decision_comment,
            j.model_call_id AS model_call_id,
            j.provider AS provider,
            j.model AS model,
            j.priced_model AS priced_model,
            j.service_tier AS service_tier,
            j.context_tier AS context_tier,
            j.region AS region,
            j.input_tokens AS input_tokens,
            j.cache_read_tokens AS cache_read_tokens,
            j.cache_write_5m_tokens AS cache_write_5m_tokens,
            j.cache_write_1h_tokens AS cache_write_1h_tokens,
            j.output_tokens AS output_tokens,
            j.reasoning_tokens AS reasoning_tokens,
            j.input_audio_tokens AS input_audio_tokens,
            j.cache_audio_read_tokens AS cache_audio_read_tokens,
            j.output_audio_tokens AS output_audio_tokens,
            j.input_image_tokens AS input_image_tokens,
            j.output_image_tokens AS output_image_tokens,
            j.requests AS requests,
            j.input_cost_usd AS input_cost_usd,
            j.cache_read_cost_usd AS cache_read_cost_usd,
            j.cache_write_5m_cost_usd AS cache_write_5m_cost_usd,
            j.cache_write_1h_cost_usd AS cache_write_1h_cost_usd,
            j.output_cost_usd AS output_cost_usd,
            j.reasoning_cost_usd AS reasoning_cost_usd,
            j.input_audio_cost_usd AS input_audio_cost_usd,
            j.cache_audio_read_cost_usd AS cache_audio_read_cost_usd,
            j.output_audio_cost_usd AS output_audio_cost_usd,
            j.input_image_cost_usd AS input_image_cost_usd,
            j.output_image_cost_usd AS output_image_cost_usd,
            j.requests_cost_usd AS requests_cost_usd,
            j.cost_usd AS cost_usd,
            j.estimated_cost_usd AS estimated_cost_usd,
            j.recorded_cost_usd AS recorded_cost_usd,
            j.pricing_status AS pricing_status,
            j.unpriced_reason AS unpriced_reason,
            j.latency_ms AS latency_ms,
            j.target_event_id AS target_event_id,
            j.target_execution_id AS target_execution_id,
            j.target_occurred_at AS target_occurred_at,
            j.old_cost_usd AS old_cost_usd,
            j.new_cost_usd AS new_cost_usd,
            j.difference_usd AS difference_usd,
            j.budget_id AS budget_id,
            j.budget_scope AS budget_scope,
            j.budget_unit AS budget_unit,
            j.budget_period AS budget_period,
            j.threshold_percent AS threshold_percent,
            j.limit_usd AS limit_usd,
            j.total_usd AS total_usd,
            j.limit_tokens AS limit_tokens,
            j.total_tokens AS total_tokens,
            j.artifact_id AS artifact_id,
            j.artifact_type AS artifact_type,
            j.artifact_name AS artifact_name,
            j.uri AS uri,
            j.size_bytes AS size_bytes,
            j.content_type AS content_type,
            j.sha256 AS sha256,
            j.log_level AS log_level,
            j.message AS message,
            coalesce(j.payload, '{}')::json AS payload
        FROM judged j
    ),
    digested AS MATERIALIZED (
        SELECT d.*, leaf(ROW(d.event_id, d.execution_id, d.sequence, d.event_type, d.event_version, d.week, d.epoch, d.tx, d.occurred_at, d.recorded_at, d.workflow_name, d.workflow_type, d.template_id, d.template_version, d.mode, d.drive_id, d.customer_id, d.user_id, d.agent_id, d.agent_name, d.operator_id, d.operator_kind, d.step_id, d.step_name, d.call_id, d.attempt, d.source, d.source_file, d.source_line, d.execution_kind, d.triggered_by, d.triggered_by_kind, d.parent_execution_id, d.parent_step_id, d.retry_of, d.budget_usd, d.budget_tokens, d.reason, d.error_code, d.error_message, d.limit_seconds, d.tool_name, d.next_attempt, d.delay_ms, d.branch_condition, d.branch_result, d.branch_target, d.iteration_index, d.child_execution_id, d.prompt, d.approval_id, d.approval_subject, d.requested_from, d.decision, d.decision_comment, d.model_call_id, d.provider, d.model, d.priced_model, d.service_tier, d.context_tier, d.region, d.input_tokens, d.cache_read_tokens, d.cache_write_5m_tokens, d.cache_write_1h_tokens, d.output_tokens, d.reasoning_tokens, d.input_audio_tokens, d.cache_audio_read_tokens, d.output_audio_tokens, d.input_image_tokens, d.output_image_tokens, d.requests, d.input_cost_usd, d.cache_read_cost_usd, d.cache_write_5m_cost_usd, d.cache_write_1h_cost_usd, d.output_cost_usd, d.reasoning_cost_usd, d.input_audio_cost_usd, d.cache_audio_read_cost_usd, d.output_audio_cost_usd, d.input_image_cost_usd, d.output_image_cost_usd, d.requests_cost_usd, d.cost_usd, d.estimated_cost_usd, d.recorded_cost_usd, d.pricing_status, d.unpriced_reason, d.latency_ms, d.target_event_id, d.target_execution_id, d.target_occurred_at, d.old_cost_usd, d.new_cost_usd, d.difference_usd, d.budget_id, d.budget_scope, d.budget_unit, d.budget_period, d.threshold_percent, d.limit_usd, d.total_usd, d.limit_tokens, d.total_tokens, d.artifact_id, d.artifact_type, d.artifact_name, d.uri, d.size_bytes, d.content_type, d.sha256, d.log_level, d.message, d.payload, NULL, NULL)::workflow_events) AS leaf
        FROM prepared d
    ),
    chained AS (
        SELECT d.ordinal, chain_hash(d.hash_before, d.leaf) OVER (PARTITION BY d.execution_id ORDER BY d.sequence) AS hash
        FROM digested d
    )
    SELECT
        array_agg(ROW(d.event_id, d.execution_id, d.sequence, d.event_type, d.event_version, d.week, d.epoch, d.tx, d.occurred_at, d.recorded_at, d.workflow_name, d.workflow_type, d.template_id, d.template_version, d.mode, d.drive_id, d.customer_id, d.user_id, d.agent_id, d.agent_name, d.operator_id, d.operator_kind, d.step_id, d.step_name, d.call_id, d.attempt, d.source, d.source_file, d.source_line, d.execution_kind, d.triggered_by, d.triggered_by_kind, d.parent_execution_id, d.parent_step_id, d.retry_of, d.budget_usd, d.budget_tokens, d.reason, d.error_code, d.error_message, d.limit_seconds, d.tool_name, d.next_attempt, d.delay_ms, d.branch_condition, d.branch_result, d.branch_target, d.iteration_index, d.child_execution_id, d.prompt, d.approval_id, d.approval_subject, d.requested_from, d.decision, d.decision_comment, d.model_call_id, d.provider, d.model, d.priced_model, d.service_tier, d.context_tier, d.region, d.input_tokens, d.cache_read_tokens, d.cache_write_5m_tokens, d.cache_write_1h_tokens, d.output_tokens, d.reasoning_tokens, d.input_audio_tokens, d.cache_audio_read_tokens, d.output_audio_tokens, d.input_image_tokens, d.output_image_tokens, d.requests, d.input_cost_usd, d.cache_read_cost_usd, d.cache_write_5m_cost_usd, d.cache_write_1h_cost_usd, d.output_cost_usd, d.reasoning_cost_usd, d.input_audio_cost_usd, d.cache_audio_read_cost_usd, d.output_audio_cost_usd, d.input_image_cost_usd, d.output_image_cost_usd, d.requests_cost_usd, d.cost_usd, d.estimated_cost_usd, d.recorded_cost_usd, d.pricing_status, d.unpriced_reason, d.latency_ms, d.target_event_id, d.target_execution_id, d.target_occurred_at, d.old_cost_usd, d.new_cost_usd, d.difference_usd, d.budget_id, d.budget_scope, d.budget_unit, d.budget_period, d.threshold_percent, d.limit_usd, d.total_usd, d.limit_tokens, d.total_tokens, d.artifact_id, d.artifact_type, d.artifact_name, d.uri, d.size_bytes, d.content_type, d.sha256, d.log_level, d.message, d.payload, d.leaf, c.hash)::workflow_events),
        substr(min((lpad(d.ordinal::text, 19, '0') || format('%s (sequence %s): %s', d.event_type, d.sequence, d.problem)) COLLATE "C")
            FILTER (WHERE d.problem IS NOT NULL), 20)
    FROM digested d
    JOIN chained c ON c.ordinal = d.ordinal;
END $$;

CREATE FUNCTION apply_batch(p_epoch integer, given append_staging[], p_history boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = ledger, pg_temp AS $$
-- Stores a batch and moves heads and projections; the caller holds the locks.
DECLARE
    stored workflow_events[];
    problem text;
    types text[] := ARRAY(SELECT DISTINCT g.event_type FROM unnest(given) g);
BEGIN
    IF 'TokensUpdated' = ANY (types) AND (
        EXISTS (SELECT FROM unnest(given) g WHERE num_nonnulls(g.budget_usd, g.budget_tokens) > 0)
        OR EXISTS (
            SELECT FROM workflow_executions x
            WHERE x.id = ANY (ARRAY(SELECT DISTINCT g.execution_id FROM unnest(given) g))
                AND num_nonnulls(x.budget_usd, x.budget_tokens) > 0))
    THEN
        given := given || budget_breaches(given);
        types := types || 'BudgetExceeded'::text;
    END IF;
    SELECT p.stored, p.problem INTO stored, problem
    FROM prepare_batch(p_epoch, pg_current_xact_id()::text::bigint, given, p_history) p;
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = CASE WHEN problem ~ '\): sequence: ' THEN 'LG002' ELSE 'LG001' END, MESSAGE = problem;
    END IF;
    IF cardinality(given) <> coalesce(cardinality(stored), 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = 'ordinal: each event of a batch needs one of its own';
    END IF;
    IF stored IS NULL THEN
        RETURN 0;
    END IF;

    INSERT INTO execution_heads AS h (
        id, execution_kind, state, last_sequence, head_hash, first_week, last_week, last_recorded_at, open_calls, ended
    )
    SELECT
        e.execution_id, max(e.execution_kind),
        coalesce(substr(max(marked(e.sequence, r.execution_to)), 20), 'unchanged'),
        max(e.sequence), (array_agg(e.hash ORDER BY e.sequence DESC))[1], min(e.week), max(e.week), max(e.recorded_at),
        -- An end closes what is open; until then calls are counted.
        CASE WHEN bool_or(r.execution_to IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')) THEN 0
            ELSE coalesce(old.open_calls, 0) + count(*) FILTER (WHERE r.call = 'opens') - count(*) FILTER (WHERE r.call = 'closes')
        END,
        coalesce(bool_or(r.execution_to IN ('completed', 'failed', 'cancelled', 'aborted', 'timeout')), false)
    FROM unnest(stored) e
    JOIN state_rules r ON r.event_type = e.event_type
    LEFT JOIN execution_heads old ON old.id = e.execution_id
    GROUP BY e.execution_id, old.open_calls
    ON CONFLICT (id) DO UPDATE SET
        state = CASE excluded.state WHEN 'unchanged' THEN h.state ELSE excluded.state END,
        last_sequence = excluded.last_sequence,
        head_hash = excluded.head_hash,
        last_week = excluded.last_week,
        last_recorded_at = excluded.last_recorded_at,
        open_calls = excluded.open_calls,
        ended = h.ended OR excluded.ended;

    INSERT INTO workflow_events SELECT e.* FROM unnest(stored) e;

    PERFORM project(stored, types);
    RETURN cardinality(stored);
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
    SELECT array_agg(e) INTO given FROM json_populate_recordset(NULL::append_staging, p_events) e;
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
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    -- The leaves that a staged batch needs and that are not there yet.
    SELECT DISTINCT w.event_type, w.week
    FROM (
        SELECT s.event_type, max(greatest(
            week_of(CASE WHEN p_history THEN s.occurred_at ELSE clock_timestamp() END), l.first_open_week, h.last_week
        )) OVER (PARTITION BY s.execution_id ORDER BY s.ordinal) AS week
        FROM (
            SELECT b.execution_id, b.event_type, b.ordinal, b.occurred_at
            FROM append_staging b
            WHERE b.batch = p_batch
            UNION ALL
            -- A usage may bring its execution's budget breach with it.
            SELECT b.execution_id, 'BudgetExceeded', b.ordinal, b.occurred_at
            FROM append_staging b
            WHERE b.batch = p_batch AND b.event_type = 'TokensUpdated' AND (
                EXISTS (
                    SELECT FROM append_staging c WHERE c.batch = p_batch AND c.execution_id = b.execution_id
                        AND c.event_type = 'WorkflowCreated' AND num_nonnulls(c.budget_usd, c.budget_tokens) > 0)
                OR EXISTS (
                    SELECT FROM workflow_executions x
                    WHERE x.id = b.execution_id AND num_nonnulls(x.budget_usd, x.budget_tokens) > 0))
        ) s
        CROSS JOIN ledger_state l
        LEFT JOIN execution_heads h ON h.id = s.execution_id
    ) w
    JOIN missing_leaves(ARRAY(SELECT DISTINCT week_of(CASE WHEN p_history THEN s.occurred_at ELSE clock_timestamp() END) FROM append_staging s WHERE s.batch = p_batch)
        || ARRAY(SELECT DISTINCT h.last_week FROM execution_heads h JOIN append_staging s ON s.execution_id = h.id WHERE s.batch = p_batch)
        || ARRAY(SELECT l.first_open_week FROM ledger_state l WHERE isfinite(l.first_open_week))) m
        ON m.event_type = w.event_type AND m.week = w.week
    ORDER BY 2, 1
$$;

CREATE FUNCTION append_staged(p_batch uuid, p_history boolean, p_events bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ledger, pg_temp
SET jit = off
-- Planned for the size of each batch: a plan kept from a small one would be quadratic here.
SET plan_cache_mode = force_custom_plan
AS $$
-- Consumes a batch that was staged and committed before; answers how many events it stored.
DECLARE
    epoch integer := begin_append();
    key integer;
    given append_staging[];
    appended bigint;
BEGIN
    FOR key IN SELECT DISTINCT stripe(s.execution_id) FROM append_staging s WHERE s.batch = p_batch ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(19524, key);
    END LOOP;
    given := ARRAY(SELECT s FROM append_staging s WHERE s.batch = p_batch);
    IF cardinality(given) <> p_events THEN
        RAISE EXCEPTION USING ERRCODE = 'LG001', MESSAGE = format(
            'batch: %s events were staged, but %s are there: stage the batch again', p_events, cardinality(given));
    END IF;
    appended := apply_batch(epoch, given, p_history);
    DELETE FROM append_staging s WHERE s.batch = p_batch;
    RETURN appended;
END $$;

CREATE FUNCTION clear_staging(older_than interval DEFAULT '1 day') RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    WITH cleared AS (DELETE FROM append_staging WHERE staged_at < clock_timestamp() - greatest(older_than, interval '1 hour') RETURNING 1)
    SELECT count(*) FROM cleared
$$;

CREATE FUNCTION discard_staged(p_batch uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
    DELETE FROM append_staging WHERE batch = p_batch
$$;

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

CREATE FUNCTION summary_of(e workflow_events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
-- JSON text: joined and parsed once for many events, it costs half of building an object each.
RETURN '{"sequence": ' || (e).sequence || ', "event_type": "' || (e).event_type || '", "occurred_at": "'
    || to_char((e).occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}';

CREATE FUNCTION step_moves(stored workflow_events[])
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
        (m.dispatch).event_id IS NOT NULL, member((m.dispatch).payload, 'input'),
        nullif(member((m.dispatch).payload, 'config'), '{}'), (m.dispatch).tool_name,
        member((m.dispatch).payload, 'tool_parameters'),
        (m.completion).event_id IS NOT NULL, member((m.completion).payload, 'output'),
        member((m.completion).payload, 'tool_result'),
        (m.closing).event_id IS NOT NULL, (m.closing).error_message,
        CASE (m.closing).event_type WHEN 'StepFailed' THEN error_details_of((m.closing).payload, (m.closing).error_code) END,
        (m.receipt).event_id IS NOT NULL, member((m.receipt).payload, 'user_input'), m.child_execution_id
    FROM (
        SELECT
            e.step_id,
            substr(max(marked(e.sequence, r.step_to)), 20) AS status,
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
        FROM unnest(stored) e
        JOIN state_rules r ON r.event_type = e.event_type
        WHERE e.event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'StepRetried', 'StepSkipped',
            'ChildExecutionLinked', 'InputReceived')
        GROUP BY e.step_id
    ) m
$$;

CREATE FUNCTION call_moves(stored workflow_events[])
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
        coalesce(sum(spent_tokens(e)), 0)::bigint,
        coalesce(sum(e.cost_usd), 0),
        coalesce(sum(e.estimated_cost_usd), 0),
        ('[' || string_agg(summary_of(e), ', ' ORDER BY e.sequence) || ']')::jsonb
    FROM unnest(stored) e
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
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    SELECT coalesce((
        SELECT accumulate_context(context, c.output, c.patch ORDER BY c.sequence) FROM unnest(changes) c
    ), context)
$$;

CREATE FUNCTION execution_moves(stored workflow_events[], ends text[])
RETURNS TABLE (
    execution_id uuid, created boolean, state text, context_changes context_change[], current_step_id uuid,
    dispatched uuid[], steps_done uuid[], approvals bigint, approved_by text, total_cost numeric, estimated_cost numeric,
    spent_tokens bigint, events jsonb, output_data jsonb, error_message text, error_details jsonb,
    started_at timestamptz, paused_at timestamptz, resumed_at timestamptz, ended_at timestamptz
)
LANGUAGE sql STABLE SET search_path = ledger, pg_temp AS $$
    -- What the events leave of each execution that they move.
    SELECT
        e.execution_id,
        bool_or(e.event_type = 'WorkflowCreated'),
        substr(max(marked(e.sequence, r.execution_to)), 20),
        array_agg(ROW(
            e.sequence,
            CASE e.event_type WHEN 'StepCompleted' THEN jsonb_build_object(
                'step_' || s.step_order || '_output', coalesce((e.payload -> 'output')::jsonb, 'null')) END,
            CASE e.event_type WHEN 'ContextUpdated' THEN (e.payload -> 'patch')::jsonb END
        )::context_change) FILTER (WHERE e.event_type = 'ContextUpdated' OR s.step_order IS NOT NULL),
        (array_agg(e.step_id ORDER BY e.sequence DESC) FILTER (WHERE e.event_type = 'StepDispatched'))[1],
        array_agg(e.step_id) FILTER (WHERE e.event_type = 'StepDispatched'),
        array_agg(e.step_id) FILTER (WHERE e.event_type IN ('StepCompleted', 'StepSkipped')),
        count(*) FILTER (WHERE e.event_type = 'ApprovalRequested')
            - count(*) FILTER (WHERE e.event_type = 'ApprovalApplied'),
        (array_agg(e.operator_id ORDER BY e.sequence DESC) FILTER (WHERE e.decision = 'approved' AND e.operator_id IS NOT NULL))[1],
        coalesce(sum(e.cost_usd), 0),
        coalesce(sum(e.estimated_cost_usd), 0),
        coalesce(sum(spent_tokens(e)), 0)::bigint,
        ('[' || string_agg(summary_of(e), ', ' ORDER BY e.sequence) || ']')::jsonb,
        (array_agg(member(e.payload, 'output')) FILTER (WHERE e.event_type = 'WorkflowCompleted'))[1],
        max(coalesce(e.error_message, e.reason)) FILTER (WHERE e.event_type = ANY (ends)),
        (array_agg(error_details_of(e.payload, e.error_code)) FILTER (WHERE e.event_type = 'WorkflowFailed'))[1],
        min(e.occurred_at) FILTER (WHERE e.event_type = 'WorkflowStarted'),
        (array_agg(e.occurred_at ORDER BY e.sequence DESC)
            FILTER (WHERE e.event_type IN ('WorkflowPaused', 'InputRequested')))[1],
        (array_agg(e.occurred_at ORDER BY e.sequence DESC)
            FILTER (WHERE e.event_type IN ('WorkflowResumed', 'InputReceived')))[1],
        max(e.occurred_at) FILTER (WHERE e.event_type = ANY (ends))
    FROM unnest(stored) e
    JOIN state_rules r ON r.event_type = e.event_type
    -- Only top-level steps write an output into the context.
    LEFT JOIN (
        SELECT w.id, w.step_order FROM workflow_steps w
        WHERE w.parent_step_id IS NULL
            AND w.id = ANY (ARRAY(SELECT c.step_id FROM unnest(stored) c WHERE c.event_type = 'StepCompleted'))
    ) s ON e.event_type = 'StepCompleted' AND s.id = e.step_id
    GROUP BY e.execution_id
$$;

CREATE FUNCTION project(stored workflow_events[], types text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = ledger, pg_temp
-- Tables are reached through arrays of keys, never row by row: a join of a batch with a table that has grown since it
-- was last analysed would be planned as a nested loop over all of it.
SET enable_nestloop = off
AS $$
DECLARE
    execution_ids uuid[] := ARRAY(SELECT DISTINCT e.execution_id FROM unnest(stored) e);
    step_ids uuid[] := ARRAY(SELECT DISTINCT e.step_id FROM unnest(stored) e WHERE e.step_id IS NOT NULL);
    call_ids uuid[] := ARRAY(SELECT DISTINCT e.call_id FROM unnest(stored) e WHERE e.call_id IS NOT NULL);
    created_ids uuid[] := ARRAY(SELECT e.execution_id FROM unnest(stored) e WHERE e.event_type = 'WorkflowCreated');
    ended_ids uuid[];
    new_steps uuid[];
    ends CONSTANT text[] := ARRAY[
        'WorkflowCompleted', 'WorkflowFailed', 'WorkflowCancelled', 'WorkflowTimedOut', 'ExecutionAborted'];
BEGIN
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
                p.agent_id, p.agent_name, p.template_step_id, coalesce(m.step_config, p.config),
                coalesce(m.status, 'pending')::step_status, coalesce(m.attempt, 1), p.max_attempts, m.started_at,
                m.completed_at, m.input_data, m.output_data, m.user_input, m.tool_name, m.tool_parameters,
                m.tool_result, m.error_message, m.error_details, m.child_execution_id, p.metadata
            FROM unnest(stored) e
            CROSS JOIN LATERAL planned_steps(e.event_type, e.payload) p
            LEFT JOIN step_moves(stored) m ON m.step_id = p.step_id
            WHERE e.event_type IN ('WorkflowCreated', 'IterationStarted', 'StepDispatched')
            RETURNING id
        )
        SELECT array_agg(id) INTO new_steps FROM added;
    END IF;

    IF EXISTS (
        SELECT e.step_id FROM unnest(stored) e
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
        FROM step_moves(stored) m
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
            e.call_id, e.execution_id, e.step_id, e.agent_id, e.agent_name, e.tool_name, e.attempt, e.operator_id,
            e.occurred_at, coalesce(m.status, 'running')::call_status, m.ended_at, m.error_message, m.approved_by, m.model,
            m.input_tokens, m.output_tokens, m.spent_tokens, m.total_cost, m.estimated_cost, last_items(m.events, 20)
        FROM unnest(stored) e
        JOIN call_moves(stored) m ON m.call_id = e.call_id
        WHERE e.event_type = 'StepDispatched';
    END IF;

    IF EXISTS (
        SELECT e.call_id FROM unnest(stored) e WHERE e.call_id IS NOT NULL
        EXCEPT SELECT e.call_id FROM unnest(stored) e WHERE e.event_type = 'StepDispatched')
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
        FROM call_moves(stored) m
        WHERE c.id = ANY (call_ids) AND c.id = m.call_id AND NOT m.opened;
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
        WHERE a.execution_id = ANY (execution_ids) AND e.event_type = 'ApprovalApplied' AND a.id = e.approval_id;
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
        LEFT JOIN (SELECT * FROM workflow_steps WHERE id = ANY (step_ids)) s ON s.id = e.step_id
        WHERE e.event_type = 'LogRecorded';
    END IF;

    IF 'TokensUpdated' = ANY (types) THEN
        INSERT INTO usage_keys (execution_id, model_call_id)
        SELECT e.execution_id, e.model_call_id FROM unnest(stored) e WHERE e.event_type = 'TokensUpdated';
    END IF;

    IF types && ends THEN
        -- An end closes what is open.
        ended_ids := ARRAY(SELECT e.execution_id FROM unnest(stored) e WHERE e.event_type = ANY (ends));
        UPDATE executions c SET status = 'aborted', ended_at = e.occurred_at
        FROM unnest(stored) e
        WHERE c.execution_id = ANY (ended_ids) AND c.status = 'running'
            AND e.event_type = ANY (ends) AND c.execution_id = e.execution_id;
        UPDATE workflow_steps s SET
            status = CASE s.status WHEN 'pending' THEN 'skipped' ELSE 'failed' END::step_status,
            completed_at = e.occurred_at
        FROM unnest(stored) e
        WHERE s.execution_id = ANY (ended_ids) AND e.event_type = ANY (ends) AND s.execution_id = e.execution_id
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
            m.spent_tokens, last_items(m.events, 20), m.output_data, m.error_message, m.error_details, m.started_at,
            m.paused_at, m.resumed_at,
            CASE m.state WHEN 'completed' THEN m.ended_at END, CASE m.state WHEN 'failed' THEN m.ended_at END,
            CASE m.state WHEN 'cancelled' THEN m.ended_at END, CASE m.state WHEN 'aborted' THEN m.ended_at END,
            CASE m.state WHEN 'timeout' THEN m.ended_at END, m.ended_at
        FROM execution_moves(stored, ends) m
        JOIN unnest(stored) c ON c.execution_id = m.execution_id AND c.event_type = 'WorkflowCreated'
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

    IF (SELECT count(DISTINCT e.execution_id) > count(*) FILTER (WHERE e.event_type = 'WorkflowCreated')
        FROM unnest(stored) e)
    THEN
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
        FROM execution_moves(stored, ends) m
        JOIN (SELECT * FROM workflow_executions WHERE id = ANY (execution_ids)) old ON old.id = m.execution_id
        CROSS JOIN LATERAL (
            SELECT
                old.total_steps + (
                    SELECT count(*) FROM workflow_steps s WHERE s.id = ANY (m.dispatched) AND s.id = ANY (new_steps)
                        AND s.parent_step_id IS NULL
                ) AS total,
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
