-- Derived from the event catalogue by ledger_pipeline.hot.ddl: change the catalogue, not this file.

CREATE TABLE workflow_events (
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    sequence bigint NOT NULL,
    event_type text NOT NULL,
    event_version integer NOT NULL,
    week date NOT NULL,
    epoch integer NOT NULL,
    tx bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    workflow_name text,
    workflow_type text,
    template_id uuid,
    template_version integer,
    mode text,
    drive_id uuid,
    customer_id uuid,
    user_id uuid,
    agent_id uuid,
    agent_name text,
    operator_id text,
    operator_kind text,
    step_id uuid,
    step_name text,
    call_id uuid,
    attempt integer,
    source text,
    source_file text,
    source_line bigint,
    execution_kind text NOT NULL,
    triggered_by text,
    triggered_by_kind text,
    parent_execution_id uuid,
    parent_step_id uuid,
    retry_of uuid,
    budget_usd numeric(38,12),
    budget_tokens bigint,
    reason text,
    error_code text,
    error_message text,
    limit_seconds bigint,
    tool_name text,
    next_attempt integer,
    delay_ms bigint,
    branch_condition text,
    branch_result text,
    branch_target text,
    iteration_index bigint,
    child_execution_id uuid,
    prompt text,
    approval_id uuid,
    approval_subject text,
    requested_from text,
    decision text,
    decision_comment text,
    model_call_id text,
    provider text,
    model text,
    priced_model text,
    service_tier text,
    context_tier text,
    region text,
    input_tokens bigint,
    cache_read_tokens bigint,
    cache_write_5m_tokens bigint,
    cache_write_1h_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    input_audio_tokens bigint,
    cache_audio_read_tokens bigint,
    output_audio_tokens bigint,
    input_image_tokens bigint,
    output_image_tokens bigint,
    requests bigint,
    input_cost_usd numeric(38,12),
    cache_read_cost_usd numeric(38,12),
    cache_write_5m_cost_usd numeric(38,12),
    cache_write_1h_cost_usd numeric(38,12),
    output_cost_usd numeric(38,12),
    reasoning_cost_usd numeric(38,12),
    input_audio_cost_usd numeric(38,12),
    cache_audio_read_cost_usd numeric(38,12),
    output_audio_cost_usd numeric(38,12),
    input_image_cost_usd numeric(38,12),
    output_image_cost_usd numeric(38,12),
    requests_cost_usd numeric(38,12),
    cost_usd numeric(38,12),
    estimated_cost_usd numeric(38,12),
    recorded_cost_usd numeric(38,12),
    pricing_status text,
    unpriced_reason text,
    latency_ms bigint,
    target_event_id uuid,
    target_execution_id uuid,
    target_occurred_at timestamptz,
    old_cost_usd numeric(38,12),
    new_cost_usd numeric(38,12),
    difference_usd numeric(38,12),
    budget_id uuid,
    budget_scope text,
    budget_unit text,
    budget_period text,
    threshold_percent integer,
    limit_usd numeric(38,12),
    total_usd numeric(38,12),
    limit_tokens bigint,
    total_tokens bigint,
    artifact_id uuid,
    artifact_type text,
    artifact_name text,
    uri text,
    size_bytes bigint,
    content_type text,
    sha256 text,
    log_level text,
    message text,
    payload json NOT NULL,
    leaf bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT workflow_events_execution FOREIGN KEY (execution_id) REFERENCES execution_heads (id),
    CONSTRAINT workflow_events_envelope CHECK (
        sequence >= 1
        AND event_version >= 1
        AND epoch >= 1
        AND tx >= 0
        AND occurred_at >= '1970-01-01 00:00:00+00'
        AND occurred_at < '9999-01-01 00:00:00+00'
        AND recorded_at >= '1970-01-01 00:00:00+00'
        AND recorded_at < '9999-01-01 00:00:00+00'
        AND workflow_name <> ''
        AND strpos(workflow_name, chr(31)) = 0
        AND workflow_type IN ('cost_analysis', 'performance_tuning', 'resource_optimization', 'quality_check', 'scaling_decision', 'configuration_update', 'health_check', 'anomaly_detection')
        AND template_version >= 0
        AND template_version <= 2147483647
        AND mode <> ''
        AND strpos(mode, chr(31)) = 0
        AND agent_name <> ''
        AND strpos(agent_name, chr(31)) = 0
        AND operator_id <> ''
        AND strpos(operator_id, chr(31)) = 0
        AND operator_kind IN ('user', 'agent', 'system')
        AND step_name <> ''
        AND strpos(step_name, chr(31)) = 0
        AND attempt >= 1
        AND source <> ''
        AND strpos(source, chr(31)) = 0
        AND source_file <> ''
        AND strpos(source_file, chr(31)) = 0
        AND source_line >= 1
        AND execution_kind IN ('workflow', 'repricing', 'budget')
        AND extract(isodow FROM week) = 1
        AND octet_length(leaf) = 32
        AND octet_length(hash) = 32
        AND json_typeof(payload) = 'object'
    )
) PARTITION BY LIST (event_type);

CREATE TABLE workflow_created_events PARTITION OF workflow_events (
    CONSTRAINT workflow_created_events_shape CHECK (
        triggered_by <> ''
        AND strpos(triggered_by, chr(31)) = 0
        AND triggered_by_kind IN ('user', 'agent', 'system')
        AND budget_usd >= 0
        AND budget_usd <= 1000000000000
        AND budget_tokens >= 0
        AND budget_tokens <= 1000000000000
        AND num_nonnulls(reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowCreated') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_created_events_sequence ON workflow_created_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_created_events_event ON workflow_created_events (event_id, week);

CREATE TABLE workflow_started_events PARTITION OF workflow_events (
    CONSTRAINT workflow_started_events_shape CHECK (
        num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowStarted') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_started_events_sequence ON workflow_started_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_started_events_event ON workflow_started_events (event_id, week);

CREATE TABLE workflow_paused_events PARTITION OF workflow_events (
    CONSTRAINT workflow_paused_events_shape CHECK (
        reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowPaused') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_paused_events_sequence ON workflow_paused_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_paused_events_event ON workflow_paused_events (event_id, week);

CREATE TABLE workflow_resumed_events PARTITION OF workflow_events (
    CONSTRAINT workflow_resumed_events_shape CHECK (
        reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowResumed') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_resumed_events_sequence ON workflow_resumed_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_resumed_events_event ON workflow_resumed_events (event_id, week);

CREATE TABLE workflow_completed_events PARTITION OF workflow_events (
    CONSTRAINT workflow_completed_events_shape CHECK (
        num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowCompleted') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_completed_events_sequence ON workflow_completed_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_completed_events_event ON workflow_completed_events (event_id, week);

CREATE TABLE workflow_failed_events PARTITION OF workflow_events (
    error_message NOT NULL,
    CONSTRAINT workflow_failed_events_shape CHECK (
        error_code <> ''
        AND strpos(error_code, chr(31)) = 0
        AND error_message <> ''
        AND strpos(error_message, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowFailed') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_failed_events_sequence ON workflow_failed_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_failed_events_event ON workflow_failed_events (event_id, week);

CREATE TABLE workflow_cancelled_events PARTITION OF workflow_events (
    CONSTRAINT workflow_cancelled_events_shape CHECK (
        reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowCancelled') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_cancelled_events_sequence ON workflow_cancelled_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_cancelled_events_event ON workflow_cancelled_events (event_id, week);

CREATE TABLE workflow_timed_out_events PARTITION OF workflow_events (
    CONSTRAINT workflow_timed_out_events_shape CHECK (
        reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND limit_seconds >= 0
        AND limit_seconds <= 9223372036854775807
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('WorkflowTimedOut') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX workflow_timed_out_events_sequence ON workflow_timed_out_events (execution_id, sequence, week);
CREATE UNIQUE INDEX workflow_timed_out_events_event ON workflow_timed_out_events (event_id, week);

CREATE TABLE execution_aborted_events PARTITION OF workflow_events (
    CONSTRAINT execution_aborted_events_shape CHECK (
        reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('ExecutionAborted') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX execution_aborted_events_sequence ON execution_aborted_events (execution_id, sequence, week);
CREATE UNIQUE INDEX execution_aborted_events_event ON execution_aborted_events (event_id, week);

CREATE TABLE step_dispatched_events PARTITION OF workflow_events (
    call_id NOT NULL,
    step_id NOT NULL,
    CONSTRAINT step_dispatched_events_shape CHECK (
        tool_name <> ''
        AND strpos(tool_name, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('StepDispatched') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX step_dispatched_events_sequence ON step_dispatched_events (execution_id, sequence, week);
CREATE UNIQUE INDEX step_dispatched_events_event ON step_dispatched_events (event_id, week);

CREATE TABLE step_completed_events PARTITION OF workflow_events (
    call_id NOT NULL,
    step_id NOT NULL,
    CONSTRAINT step_completed_events_shape CHECK (
        num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('StepCompleted') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX step_completed_events_sequence ON step_completed_events (execution_id, sequence, week);
CREATE UNIQUE INDEX step_completed_events_event ON step_completed_events (event_id, week);

CREATE TABLE step_failed_events PARTITION OF workflow_events (
    call_id NOT NULL,
    step_id NOT NULL,
    error_message NOT NULL,
    CONSTRAINT step_failed_events_shape CHECK (
        error_code <> ''
        AND strpos(error_code, chr(31)) = 0
        AND error_message <> ''
        AND strpos(error_message, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('StepFailed') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX step_failed_events_sequence ON step_failed_events (execution_id, sequence, week);
CREATE UNIQUE INDEX step_failed_events_event ON step_failed_events (event_id, week);

CREATE TABLE step_retried_events PARTITION OF workflow_events (
    step_id NOT NULL,
    next_attempt NOT NULL,
    CONSTRAINT step_retried_events_shape CHECK (
        next_attempt >= 2
        AND delay_ms >= 0
        AND delay_ms <= 9223372036854775807
        AND error_message <> ''
        AND strpos(error_message, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, limit_seconds, tool_name, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('StepRetried') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX step_retried_events_sequence ON step_retried_events (execution_id, sequence, week);
CREATE UNIQUE INDEX step_retried_events_event ON step_retried_events (event_id, week);

CREATE TABLE step_skipped_events PARTITION OF workflow_events (
    step_id NOT NULL,
    CONSTRAINT step_skipped_events_shape CHECK (
        reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('StepSkipped') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX step_skipped_events_sequence ON step_skipped_events (execution_id, sequence, week);
CREATE UNIQUE INDEX step_skipped_events_event ON step_skipped_events (event_id, week);

CREATE TABLE branch_taken_events PARTITION OF workflow_events (
    step_id NOT NULL,
    branch_condition NOT NULL,
    branch_result NOT NULL,
    CONSTRAINT branch_taken_events_shape CHECK (
        branch_condition <> ''
        AND strpos(branch_condition, chr(31)) = 0
        AND branch_result <> ''
        AND strpos(branch_result, chr(31)) = 0
        AND branch_target <> ''
        AND strpos(branch_target, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('BranchTaken') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX branch_taken_events_sequence ON branch_taken_events (execution_id, sequence, week);
CREATE UNIQUE INDEX branch_taken_events_event ON branch_taken_events (event_id, week);

CREATE TABLE iteration_started_events PARTITION OF workflow_events (
    step_id NOT NULL,
    iteration_index NOT NULL,
    CONSTRAINT iteration_started_events_shape CHECK (
        iteration_index >= 0
        AND iteration_index <= 9223372036854775807
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('IterationStarted') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX iteration_started_events_sequence ON iteration_started_events (execution_id, sequence, week);
CREATE UNIQUE INDEX iteration_started_events_event ON iteration_started_events (event_id, week);

CREATE TABLE child_execution_linked_events PARTITION OF workflow_events (
    step_id NOT NULL,
    child_execution_id NOT NULL,
    CONSTRAINT child_execution_linked_events_shape CHECK (
        num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('ChildExecutionLinked') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX child_execution_linked_events_sequence ON child_execution_linked_events (execution_id, sequence, week);
CREATE UNIQUE INDEX child_execution_linked_events_event ON child_execution_linked_events (event_id, week);

CREATE TABLE input_requested_events PARTITION OF workflow_events (
    step_id NOT NULL,
    CONSTRAINT input_requested_events_shape CHECK (
        prompt <> ''
        AND strpos(prompt, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('InputRequested') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX input_requested_events_sequence ON input_requested_events (execution_id, sequence, week);
CREATE UNIQUE INDEX input_requested_events_event ON input_requested_events (event_id, week);

CREATE TABLE input_received_events PARTITION OF workflow_events (
    step_id NOT NULL,
    CONSTRAINT input_received_events_shape CHECK (
        num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('InputReceived') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX input_received_events_sequence ON input_received_events (execution_id, sequence, week);
CREATE UNIQUE INDEX input_received_events_event ON input_received_events (event_id, week);

CREATE TABLE approval_requested_events PARTITION OF workflow_events (
    approval_id NOT NULL,
    approval_subject NOT NULL,
    CONSTRAINT approval_requested_events_shape CHECK (
        approval_subject <> ''
        AND strpos(approval_subject, chr(31)) = 0
        AND requested_from <> ''
        AND strpos(requested_from, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('ApprovalRequested') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX approval_requested_events_sequence ON approval_requested_events (execution_id, sequence, week);
CREATE UNIQUE INDEX approval_requested_events_event ON approval_requested_events (event_id, week);

CREATE TABLE approval_applied_events PARTITION OF workflow_events (
    approval_id NOT NULL,
    decision NOT NULL,
    CONSTRAINT approval_applied_events_shape CHECK (
        decision IN ('approved', 'rejected')
        AND decision_comment <> ''
        AND strpos(decision_comment, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_subject, requested_from, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('ApprovalApplied') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX approval_applied_events_sequence ON approval_applied_events (execution_id, sequence, week);
CREATE UNIQUE INDEX approval_applied_events_event ON approval_applied_events (event_id, week);

CREATE TABLE tokens_updated_events PARTITION OF workflow_events (
    model_call_id NOT NULL,
    model NOT NULL,
    input_tokens NOT NULL,
    cache_read_tokens NOT NULL,
    cache_write_5m_tokens NOT NULL,
    cache_write_1h_tokens NOT NULL,
    output_tokens NOT NULL,
    reasoning_tokens NOT NULL,
    input_audio_tokens NOT NULL,
    cache_audio_read_tokens NOT NULL,
    output_audio_tokens NOT NULL,
    input_image_tokens NOT NULL,
    output_image_tokens NOT NULL,
    requests NOT NULL,
    pricing_status NOT NULL,
    CONSTRAINT tokens_updated_events_shape CHECK (
        model_call_id <> ''
        AND strpos(model_call_id, chr(31)) = 0
        AND provider <> ''
        AND strpos(provider, chr(31)) = 0
        AND model <> ''
        AND strpos(model, chr(31)) = 0
        AND priced_model <> ''
        AND strpos(priced_model, chr(31)) = 0
        AND service_tier <> ''
        AND strpos(service_tier, chr(31)) = 0
        AND context_tier <> ''
        AND strpos(context_tier, chr(31)) = 0
        AND region <> ''
        AND strpos(region, chr(31)) = 0
        AND input_tokens >= 0
        AND input_tokens <= 1000000000000
        AND cache_read_tokens >= 0
        AND cache_read_tokens <= 1000000000000
        AND cache_write_5m_tokens >= 0
        AND cache_write_5m_tokens <= 1000000000000
        AND cache_write_1h_tokens >= 0
        AND cache_write_1h_tokens <= 1000000000000
        AND output_tokens >= 0
        AND output_tokens <= 1000000000000
        AND reasoning_tokens >= 0
        AND reasoning_tokens <= 1000000000000
        AND input_audio_tokens >= 0
        AND input_audio_tokens <= 1000000000000
        AND cache_audio_read_tokens >= 0
        AND cache_audio_read_tokens <= 1000000000000
        AND output_audio_tokens >= 0
        AND output_audio_tokens <= 1000000000000
        AND input_image_tokens >= 0
        AND input_image_tokens <= 1000000000000
        AND output_image_tokens >= 0
        AND output_image_tokens <= 1000000000000
        AND requests >= 0
        AND requests <= 1000000000000
        AND input_cost_usd >= 0
        AND input_cost_usd <= 1000000000000
        AND cache_read_cost_usd >= 0
        AND cache_read_cost_usd <= 1000000000000
        AND cache_write_5m_cost_usd >= 0
        AND cache_write_5m_cost_usd <= 1000000000000
        AND cache_write_1h_cost_usd >= 0
        AND cache_write_1h_cost_usd <= 1000000000000
        AND output_cost_usd >= 0
        AND output_cost_usd <= 1000000000000
        AND reasoning_cost_usd >= 0
        AND reasoning_cost_usd <= 1000000000000
        AND input_audio_cost_usd >= 0
        AND input_audio_cost_usd <= 1000000000000
        AND cache_audio_read_cost_usd >= 0
        AND cache_audio_read_cost_usd <= 1000000000000
        AND output_audio_cost_usd >= 0
        AND output_audio_cost_usd <= 1000000000000
        AND input_image_cost_usd >= 0
        AND input_image_cost_usd <= 1000000000000
        AND output_image_cost_usd >= 0
        AND output_image_cost_usd <= 1000000000000
        AND requests_cost_usd >= 0
        AND requests_cost_usd <= 1000000000000
        AND cost_usd >= 0
        AND cost_usd <= 1000000000000
        AND estimated_cost_usd >= 0
        AND estimated_cost_usd <= 1000000000000
        AND recorded_cost_usd >= 0
        AND recorded_cost_usd <= 1000000000000
        AND pricing_status IN ('priced', 'unpriced')
        AND unpriced_reason <> ''
        AND strpos(unpriced_reason, chr(31)) = 0
        AND latency_ms >= 0
        AND latency_ms <= 9223372036854775807
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('TokensUpdated') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX tokens_updated_events_sequence ON tokens_updated_events (execution_id, sequence, week);
CREATE UNIQUE INDEX tokens_updated_events_event ON tokens_updated_events (event_id, week);

CREATE TABLE cost_recalculated_events PARTITION OF workflow_events (
    target_event_id NOT NULL,
    target_execution_id NOT NULL,
    target_occurred_at NOT NULL,
    model_call_id NOT NULL,
    model NOT NULL,
    difference_usd NOT NULL,
    reason NOT NULL,
    CONSTRAINT cost_recalculated_events_shape CHECK (
        target_occurred_at >= '1970-01-01 00:00:00+00'
        AND target_occurred_at < '9999-01-01 00:00:00+00'
        AND model_call_id <> ''
        AND strpos(model_call_id, chr(31)) = 0
        AND provider <> ''
        AND strpos(provider, chr(31)) = 0
        AND model <> ''
        AND strpos(model, chr(31)) = 0
        AND old_cost_usd >= 0
        AND old_cost_usd <= 1000000000000
        AND new_cost_usd >= 0
        AND new_cost_usd <= 1000000000000
        AND difference_usd >= -1000000000000
        AND difference_usd <= 1000000000000
        AND reason <> ''
        AND strpos(reason, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('CostRecalculated') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX cost_recalculated_events_sequence ON cost_recalculated_events (execution_id, sequence, week);
CREATE UNIQUE INDEX cost_recalculated_events_event ON cost_recalculated_events (event_id, week);

CREATE TABLE budget_exceeded_events PARTITION OF workflow_events (
    budget_scope NOT NULL,
    budget_unit NOT NULL,
    threshold_percent NOT NULL,
    CONSTRAINT budget_exceeded_events_shape CHECK (
        budget_scope IN ('execution', 'workflow', 'agent', 'customer')
        AND budget_unit IN ('usd', 'tokens')
        AND budget_period <> ''
        AND strpos(budget_period, chr(31)) = 0
        AND threshold_percent >= 0
        AND threshold_percent <= 2147483647
        AND limit_usd >= 0
        AND limit_usd <= 1000000000000
        AND total_usd >= 0
        AND total_usd <= 1000000000000
        AND limit_tokens >= 0
        AND limit_tokens <= 1000000000000
        AND total_tokens >= 0
        AND total_tokens <= 1000000000000
        AND model_call_id <> ''
        AND strpos(model_call_id, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('BudgetExceeded') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX budget_exceeded_events_sequence ON budget_exceeded_events (execution_id, sequence, week);
CREATE UNIQUE INDEX budget_exceeded_events_event ON budget_exceeded_events (event_id, week);

CREATE TABLE context_updated_events PARTITION OF workflow_events (
    CONSTRAINT context_updated_events_shape CHECK (
        num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256, log_level, message) = 0
    )
)
    FOR VALUES IN ('ContextUpdated') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX context_updated_events_sequence ON context_updated_events (execution_id, sequence, week);
CREATE UNIQUE INDEX context_updated_events_event ON context_updated_events (event_id, week);

CREATE TABLE artifact_recorded_events PARTITION OF workflow_events (
    artifact_id NOT NULL,
    artifact_type NOT NULL,
    artifact_name NOT NULL,
    uri NOT NULL,
    CONSTRAINT artifact_recorded_events_shape CHECK (
        artifact_type IN ('report', 'config', 'log', 'chart', 'recommendation', 'metrics', 'alert', 'diagnostic')
        AND artifact_name <> ''
        AND strpos(artifact_name, chr(31)) = 0
        AND uri <> ''
        AND strpos(uri, chr(31)) = 0
        AND size_bytes >= 0
        AND size_bytes <= 9223372036854775807
        AND content_type <> ''
        AND strpos(content_type, chr(31)) = 0
        AND sha256 <> ''
        AND strpos(sha256, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, log_level, message) = 0
    )
)
    FOR VALUES IN ('ArtifactRecorded') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX artifact_recorded_events_sequence ON artifact_recorded_events (execution_id, sequence, week);
CREATE UNIQUE INDEX artifact_recorded_events_event ON artifact_recorded_events (event_id, week);

CREATE TABLE log_recorded_events PARTITION OF workflow_events (
    log_level NOT NULL,
    message NOT NULL,
    CONSTRAINT log_recorded_events_shape CHECK (
        log_level IN ('debug', 'info', 'warning', 'error')
        AND message <> ''
        AND strpos(message, chr(31)) = 0
        AND num_nonnulls(triggered_by, triggered_by_kind, parent_execution_id, parent_step_id, retry_of, budget_usd, budget_tokens, reason, error_code, error_message, limit_seconds, tool_name, next_attempt, delay_ms, branch_condition, branch_result, branch_target, iteration_index, child_execution_id, prompt, approval_id, approval_subject, requested_from, decision, decision_comment, model_call_id, provider, model, priced_model, service_tier, context_tier, region, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, input_audio_tokens, cache_audio_read_tokens, output_audio_tokens, input_image_tokens, output_image_tokens, requests, input_cost_usd, cache_read_cost_usd, cache_write_5m_cost_usd, cache_write_1h_cost_usd, output_cost_usd, reasoning_cost_usd, input_audio_cost_usd, cache_audio_read_cost_usd, output_audio_cost_usd, input_image_cost_usd, output_image_cost_usd, requests_cost_usd, cost_usd, estimated_cost_usd, recorded_cost_usd, pricing_status, unpriced_reason, latency_ms, target_event_id, target_execution_id, target_occurred_at, old_cost_usd, new_cost_usd, difference_usd, budget_id, budget_scope, budget_unit, budget_period, threshold_percent, limit_usd, total_usd, limit_tokens, total_tokens, artifact_id, artifact_type, artifact_name, uri, size_bytes, content_type, sha256) = 0
    )
)
    FOR VALUES IN ('LogRecorded') PARTITION BY RANGE (week);
CREATE UNIQUE INDEX log_recorded_events_sequence ON log_recorded_events (execution_id, sequence, week);
CREATE UNIQUE INDEX log_recorded_events_event ON log_recorded_events (event_id, week);

CREATE FUNCTION canonical_text(e workflow_events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN array_to_string(ARRAY[
            CASE (e).event_type
            WHEN 'WorkflowCreated' THEN '1'
            WHEN 'WorkflowStarted' THEN '2'
            WHEN 'WorkflowPaused' THEN '3'
            WHEN 'WorkflowResumed' THEN '4'
            WHEN 'WorkflowCompleted' THEN '5'
            WHEN 'WorkflowFailed' THEN '6'
            WHEN 'WorkflowCancelled' THEN '7'
            WHEN 'WorkflowTimedOut' THEN '8'
            WHEN 'ExecutionAborted' THEN '9'
            WHEN 'StepDispatched' THEN '10'
            WHEN 'StepCompleted' THEN '11'
            WHEN 'StepFailed' THEN '12'
            WHEN 'StepRetried' THEN '13'
            WHEN 'StepSkipped' THEN '14'
            WHEN 'BranchTaken' THEN '15'
            WHEN 'IterationStarted' THEN '16'
            WHEN 'ChildExecutionLinked' THEN '17'
            WHEN 'InputRequested' THEN '18'
            WHEN 'InputReceived' THEN '19'
            WHEN 'ApprovalRequested' THEN '20'
            WHEN 'ApprovalApplied' THEN '21'
            WHEN 'TokensUpdated' THEN '22'
            WHEN 'CostRecalculated' THEN '23'
            WHEN 'BudgetExceeded' THEN '24'
            WHEN 'ContextUpdated' THEN '25'
            WHEN 'ArtifactRecorded' THEN '26'
            WHEN 'LogRecorded' THEN '27'
            END,
            (e).event_id::text,
            (e).execution_id::text,
            (e).sequence::text,
            (e).event_type::text,
            (e).event_version::text,
            to_char((e).week, 'YYYY-MM-DD'),
            (e).epoch::text,
            (e).tx::text,
            (extract(epoch FROM (e).occurred_at) * 1000000)::bigint::text,
            (extract(epoch FROM (e).recorded_at) * 1000000)::bigint::text,
            (e).workflow_name::text,
            (e).workflow_type::text,
            (e).template_id::text,
            (e).template_version::text,
            (e).mode::text,
            (e).drive_id::text,
            (e).customer_id::text,
            (e).user_id::text,
            (e).agent_id::text,
            (e).agent_name::text,
            (e).operator_id::text,
            (e).operator_kind::text,
            (e).step_id::text,
            (e).step_name::text,
            (e).call_id::text,
            (e).attempt::text,
            (e).source::text,
            (e).source_file::text,
            (e).source_line::text,
            (e).execution_kind::text
        ], chr(31), '')
        || chr(31)
        || CASE (e).event_type
            WHEN 'WorkflowCreated' THEN array_to_string(ARRAY[(e).triggered_by::text, (e).triggered_by_kind::text, (e).parent_execution_id::text, (e).parent_step_id::text, (e).retry_of::text, (e).budget_usd::numeric(38,12)::text, (e).budget_tokens::text], chr(31), '') || chr(31)
            WHEN 'WorkflowStarted' THEN ''
            WHEN 'WorkflowPaused' THEN array_to_string(ARRAY[(e).reason::text], chr(31), '') || chr(31)
            WHEN 'WorkflowResumed' THEN array_to_string(ARRAY[(e).reason::text], chr(31), '') || chr(31)
            WHEN 'WorkflowCompleted' THEN ''
            WHEN 'WorkflowFailed' THEN array_to_string(ARRAY[(e).error_code::text, (e).error_message::text], chr(31), '') || chr(31)
            WHEN 'WorkflowCancelled' THEN array_to_string(ARRAY[(e).reason::text], chr(31), '') || chr(31)
            WHEN 'WorkflowTimedOut' THEN array_to_string(ARRAY[(e).reason::text, (e).limit_seconds::text], chr(31), '') || chr(31)
            WHEN 'ExecutionAborted' THEN array_to_string(ARRAY[(e).reason::text], chr(31), '') || chr(31)
            WHEN 'StepDispatched' THEN array_to_string(ARRAY[(e).tool_name::text], chr(31), '') || chr(31)
            WHEN 'StepCompleted' THEN ''
            WHEN 'StepFailed' THEN array_to_string(ARRAY[(e).error_code::text, (e).error_message::text], chr(31), '') || chr(31)
            WHEN 'StepRetried' THEN array_to_string(ARRAY[(e).next_attempt::text, (e).delay_ms::text, (e).error_message::text], chr(31), '') || chr(31)
            WHEN 'StepSkipped' THEN array_to_string(ARRAY[(e).reason::text], chr(31), '') || chr(31)
            WHEN 'BranchTaken' THEN array_to_string(ARRAY[(e).branch_condition::text, (e).branch_result::text, (e).branch_target::text], chr(31), '') || chr(31)
            WHEN 'IterationStarted' THEN array_to_string(ARRAY[(e).iteration_index::text], chr(31), '') || chr(31)
            WHEN 'ChildExecutionLinked' THEN array_to_string(ARRAY[(e).child_execution_id::text], chr(31), '') || chr(31)
            WHEN 'InputRequested' THEN array_to_string(ARRAY[(e).prompt::text], chr(31), '') || chr(31)
            WHEN 'InputReceived' THEN ''
            WHEN 'ApprovalRequested' THEN array_to_string(ARRAY[(e).approval_id::text, (e).approval_subject::text, (e).requested_from::text], chr(31), '') || chr(31)
            WHEN 'ApprovalApplied' THEN array_to_string(ARRAY[(e).approval_id::text, (e).decision::text, (e).decision_comment::text], chr(31), '') || chr(31)
            WHEN 'TokensUpdated' THEN array_to_string(ARRAY[(e).model_call_id::text, (e).provider::text, (e).model::text, (e).priced_model::text, (e).service_tier::text, (e).context_tier::text, (e).region::text, (e).input_tokens::text, (e).cache_read_tokens::text, (e).cache_write_5m_tokens::text, (e).cache_write_1h_tokens::text, (e).output_tokens::text, (e).reasoning_tokens::text, (e).input_audio_tokens::text, (e).cache_audio_read_tokens::text, (e).output_audio_tokens::text, (e).input_image_tokens::text, (e).output_image_tokens::text, (e).requests::text, (e).input_cost_usd::numeric(38,12)::text, (e).cache_read_cost_usd::numeric(38,12)::text, (e).cache_write_5m_cost_usd::numeric(38,12)::text, (e).cache_write_1h_cost_usd::numeric(38,12)::text, (e).output_cost_usd::numeric(38,12)::text, (e).reasoning_cost_usd::numeric(38,12)::text, (e).input_audio_cost_usd::numeric(38,12)::text, (e).cache_audio_read_cost_usd::numeric(38,12)::text, (e).output_audio_cost_usd::numeric(38,12)::text, (e).input_image_cost_usd::numeric(38,12)::text, (e).output_image_cost_usd::numeric(38,12)::text, (e).requests_cost_usd::numeric(38,12)::text, (e).cost_usd::numeric(38,12)::text, (e).estimated_cost_usd::numeric(38,12)::text, (e).recorded_cost_usd::numeric(38,12)::text, (e).pricing_status::text, (e).unpriced_reason::text, (e).latency_ms::text], chr(31), '') || chr(31)
            WHEN 'CostRecalculated' THEN array_to_string(ARRAY[(e).target_event_id::text, (e).target_execution_id::text, (extract(epoch FROM (e).target_occurred_at) * 1000000)::bigint::text, (e).model_call_id::text, (e).provider::text, (e).model::text, (e).old_cost_usd::numeric(38,12)::text, (e).new_cost_usd::numeric(38,12)::text, (e).difference_usd::numeric(38,12)::text, (e).reason::text], chr(31), '') || chr(31)
            WHEN 'BudgetExceeded' THEN array_to_string(ARRAY[(e).budget_id::text, (e).budget_scope::text, (e).budget_unit::text, (e).budget_period::text, (e).threshold_percent::text, (e).limit_usd::numeric(38,12)::text, (e).total_usd::numeric(38,12)::text, (e).limit_tokens::text, (e).total_tokens::text, (e).model_call_id::text], chr(31), '') || chr(31)
            WHEN 'ContextUpdated' THEN ''
            WHEN 'ArtifactRecorded' THEN array_to_string(ARRAY[(e).artifact_id::text, (e).artifact_type::text, (e).artifact_name::text, (e).uri::text, (e).size_bytes::text, (e).content_type::text, (e).sha256::text], chr(31), '') || chr(31)
            WHEN 'LogRecorded' THEN array_to_string(ARRAY[(e).log_level::text, (e).message::text], chr(31), '') || chr(31)
        END
        || (e).payload::text;

INSERT INTO state_rules (event_type, execution_from, execution_to, step_from, step_to, call, call_to) VALUES
    ('WorkflowCreated', ARRAY[]::text[], 'pending', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowStarted', ARRAY['pending']::text[], 'running', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowPaused', ARRAY['running']::text[], 'paused', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowResumed', ARRAY['paused']::text[], 'running', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowCompleted', ARRAY['running']::text[], 'completed', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowFailed', ARRAY['pending', 'running', 'paused', 'awaiting_input']::text[], 'failed', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowCancelled', ARRAY['pending', 'running', 'paused', 'awaiting_input']::text[], 'cancelled', ARRAY[]::text[], NULL, NULL, NULL),
    ('WorkflowTimedOut', ARRAY['pending', 'running', 'paused', 'awaiting_input']::text[], 'timeout', ARRAY[]::text[], NULL, NULL, NULL),
    ('ExecutionAborted', ARRAY['pending', 'running', 'paused', 'awaiting_input']::text[], 'aborted', ARRAY[]::text[], NULL, NULL, NULL),
    ('StepDispatched', ARRAY['running']::text[], NULL, ARRAY['pending', 'retrying']::text[], 'running', 'opens', 'running'),
    ('StepCompleted', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['running']::text[], 'completed', 'closes', 'completed'),
    ('StepFailed', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['running']::text[], 'failed', 'closes', 'failed'),
    ('StepRetried', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['failed']::text[], 'retrying', NULL, NULL),
    ('StepSkipped', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['pending', 'retrying']::text[], 'skipped', NULL, NULL),
    ('BranchTaken', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['running']::text[], NULL, NULL, NULL),
    ('IterationStarted', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['running']::text[], NULL, NULL, NULL),
    ('ChildExecutionLinked', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY['running']::text[], NULL, NULL, NULL),
    ('InputRequested', ARRAY['running']::text[], 'awaiting_input', ARRAY[]::text[], NULL, NULL, NULL),
    ('InputReceived', ARRAY['awaiting_input']::text[], 'running', ARRAY[]::text[], NULL, NULL, NULL),
    ('ApprovalRequested', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('ApprovalApplied', ARRAY['running', 'paused', 'awaiting_input']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('TokensUpdated', ARRAY['pending', 'running', 'paused', 'awaiting_input', 'completed', 'failed', 'cancelled', 'aborted', 'timeout']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('CostRecalculated', ARRAY['running']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('BudgetExceeded', ARRAY['pending', 'running', 'paused', 'awaiting_input', 'completed', 'failed', 'cancelled', 'aborted', 'timeout']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('ContextUpdated', ARRAY['pending', 'running', 'paused', 'awaiting_input']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('ArtifactRecorded', ARRAY['pending', 'running', 'paused', 'awaiting_input', 'completed', 'failed', 'cancelled', 'aborted', 'timeout']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL),
    ('LogRecorded', ARRAY['pending', 'running', 'paused', 'awaiting_input', 'completed', 'failed', 'cancelled', 'aborted', 'timeout']::text[], NULL, ARRAY[]::text[], NULL, NULL, NULL);

CREATE UNLOGGED TABLE append_staging (
    batch uuid,
    ordinal bigint,
    staged_at timestamptz DEFAULT clock_timestamp(),
    event_id uuid,
    execution_id uuid,
    sequence bigint,
    event_type text,
    event_version integer,
    occurred_at timestamptz,
    workflow_name text,
    workflow_type text,
    template_id uuid,
    template_version integer,
    mode text,
    drive_id uuid,
    customer_id uuid,
    user_id uuid,
    agent_id uuid,
    agent_name text,
    operator_id text,
    operator_kind text,
    step_id uuid,
    step_name text,
    call_id uuid,
    attempt integer,
    source text,
    source_file text,
    source_line bigint,
    execution_kind text,
    triggered_by text,
    triggered_by_kind text,
    parent_execution_id uuid,
    parent_step_id uuid,
    retry_of uuid,
    budget_usd numeric(38,12),
    budget_tokens bigint,
    reason text,
    error_code text,
    error_message text,
    limit_seconds bigint,
    tool_name text,
    next_attempt integer,
    delay_ms bigint,
    branch_condition text,
    branch_result text,
    branch_target text,
    iteration_index bigint,
    child_execution_id uuid,
    prompt text,
    approval_id uuid,
    approval_subject text,
    requested_from text,
    decision text,
    decision_comment text,
    model_call_id text,
    provider text,
    model text,
    priced_model text,
    service_tier text,
    context_tier text,
    region text,
    input_tokens bigint,
    cache_read_tokens bigint,
    cache_write_5m_tokens bigint,
    cache_write_1h_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    input_audio_tokens bigint,
    cache_audio_read_tokens bigint,
    output_audio_tokens bigint,
    input_image_tokens bigint,
    output_image_tokens bigint,
    requests bigint,
    input_cost_usd numeric(38,12),
    cache_read_cost_usd numeric(38,12),
    cache_write_5m_cost_usd numeric(38,12),
    cache_write_1h_cost_usd numeric(38,12),
    output_cost_usd numeric(38,12),
    reasoning_cost_usd numeric(38,12),
    input_audio_cost_usd numeric(38,12),
    cache_audio_read_cost_usd numeric(38,12),
    output_audio_cost_usd numeric(38,12),
    input_image_cost_usd numeric(38,12),
    output_image_cost_usd numeric(38,12),
    requests_cost_usd numeric(38,12),
    cost_usd numeric(38,12),
    estimated_cost_usd numeric(38,12),
    recorded_cost_usd numeric(38,12),
    pricing_status text,
    unpriced_reason text,
    latency_ms bigint,
    target_event_id uuid,
    target_execution_id uuid,
    target_occurred_at timestamptz,
    old_cost_usd numeric(38,12),
    new_cost_usd numeric(38,12),
    difference_usd numeric(38,12),
    budget_id uuid,
    budget_scope text,
    budget_unit text,
    budget_period text,
    threshold_percent integer,
    limit_usd numeric(38,12),
    total_usd numeric(38,12),
    limit_tokens bigint,
    total_tokens bigint,
    artifact_id uuid,
    artifact_type text,
    artifact_name text,
    uri text,
    size_bytes bigint,
    content_type text,
    sha256 text,
    log_level text,
    message text,
    payload text
);
CREATE INDEX append_staging_batch ON append_staging (batch);
