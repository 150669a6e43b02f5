-- Rows derived from events for everyday questions: they can be rebuilt, and pruned once their events are cold.

CREATE TABLE customers (id uuid PRIMARY KEY DEFAULT uuidv7(), name text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE users (id uuid PRIMARY KEY DEFAULT uuidv7(), name text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE agents (id uuid PRIMARY KEY DEFAULT uuidv7(), name text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE drives (id uuid PRIMARY KEY DEFAULT uuidv7(), name text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE TABLE workflow_executions (
    id uuid PRIMARY KEY REFERENCES execution_heads (id),
    execution_kind execution_kind NOT NULL,
    template_id uuid,
    template_version integer,
    retry_of uuid,
    parent_execution_id uuid,
    parent_step_id uuid,
    workflow_name text,
    workflow_type workflow_type,
    mode text,
    drive_id uuid REFERENCES drives (id) ON DELETE CASCADE,
    customer_id uuid REFERENCES customers (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    agent_id uuid REFERENCES agents (id) ON DELETE CASCADE,
    agent_name text,
    status execution_status NOT NULL,
    input_parameters jsonb NOT NULL,
    trigger_context jsonb NOT NULL,
    accumulated_context jsonb NOT NULL,
    output_data jsonb,
    error_message text,
    error_details jsonb,
    metadata jsonb NOT NULL,
    current_step_id uuid,
    current_step_order integer,
    total_steps integer NOT NULL DEFAULT 0,
    steps_done integer NOT NULL DEFAULT 0,
    progress_percentage numeric(5, 2) NOT NULL DEFAULT 0,
    approvals_pending integer NOT NULL DEFAULT 0,
    total_cost numeric(38, 12) NOT NULL DEFAULT 0,
    estimated_cost numeric(38, 12) NOT NULL DEFAULT 0,
    spent_tokens bigint NOT NULL DEFAULT 0,
    budget_usd numeric(38, 12),
    budget_tokens bigint,
    triggered_by text,
    triggered_by_kind text,
    approved_by text,
    events jsonb NOT NULL DEFAULT '[]',
    started_at timestamptz,
    paused_at timestamptz,
    resumed_at timestamptz,
    completed_at timestamptz,
    failed_at timestamptz,
    cancelled_at timestamptz,
    aborted_at timestamptz,
    timed_out_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX workflow_executions_user_status ON workflow_executions (user_id, status);
CREATE INDEX workflow_executions_drive_status ON workflow_executions (drive_id, status);
CREATE INDEX workflow_executions_template ON workflow_executions (template_id);
CREATE INDEX workflow_executions_status ON workflow_executions (status);
CREATE INDEX workflow_executions_mode ON workflow_executions (mode);
CREATE INDEX workflow_executions_triggered_by ON workflow_executions (triggered_by);
CREATE INDEX workflow_executions_started_at ON workflow_executions (started_at);
CREATE INDEX workflow_executions_agent ON workflow_executions (agent_id);
CREATE INDEX workflow_executions_customer ON workflow_executions (customer_id);
CREATE TRIGGER workflow_executions_touched BEFORE UPDATE ON workflow_executions
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE TABLE workflow_steps (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    parent_step_id uuid,
    path text NOT NULL,
    step_order integer NOT NULL,
    step_name text NOT NULL,
    step_type step_type NOT NULL,
    agent_id uuid,
    agent_name text,
    template_step_id uuid,
    step_config jsonb NOT NULL,
    status step_status NOT NULL,
    input_data jsonb,
    output_data jsonb,
    user_input jsonb,
    tool_name text,
    tool_parameters jsonb,
    tool_result jsonb,
    attempt integer NOT NULL DEFAULT 1,
    max_attempts integer NOT NULL DEFAULT 1,
    error_message text,
    error_details jsonb,
    child_execution_id uuid,
    started_at timestamptz,
    completed_at timestamptz,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (execution_id, path)
);
CREATE INDEX workflow_steps_order ON workflow_steps (execution_id, step_order);
CREATE INDEX workflow_steps_definition ON workflow_steps (template_step_id);
CREATE INDEX workflow_steps_status ON workflow_steps (status);
CREATE INDEX workflow_steps_tool ON workflow_steps (tool_name);
CREATE TRIGGER workflow_steps_touched BEFORE UPDATE ON workflow_steps
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE FUNCTION refuse_deletion_while_hot() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Projections follow their owner only once every event concerned is cold.
DECLARE
    execution uuid := CASE TG_TABLE_NAME WHEN 'workflow_executions' THEN (to_jsonb(OLD) ->> 'id')::uuid
        ELSE (to_jsonb(OLD) ->> 'execution_id')::uuid END;
BEGIN
    IF EXISTS (
        SELECT FROM execution_heads h
        WHERE h.id = execution AND NOT EXISTS (
            SELECT FROM archive_manifest m WHERE m.week = h.last_week AND m.state = 'committed'))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'LG006', MESSAGE = format(
            'execution %s has events in the hot store: it can be deleted once they are archived', execution);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER workflow_executions_hot BEFORE DELETE ON workflow_executions
    FOR EACH ROW EXECUTE FUNCTION refuse_deletion_while_hot();
CREATE TRIGGER workflow_steps_hot BEFORE DELETE ON workflow_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_deletion_while_hot();

CREATE TABLE executions (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    step_id uuid NOT NULL,
    agent_id uuid,
    agent_name text,
    tool_name text,
    attempt integer NOT NULL,
    status call_status NOT NULL,
    model text,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    spent_tokens bigint NOT NULL DEFAULT 0,
    total_cost numeric(38, 12) NOT NULL DEFAULT 0,
    estimated_cost numeric(38, 12) NOT NULL DEFAULT 0,
    triggered_by text,
    approved_by text,
    error_message text,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    events jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE executions IS 'Agent calls: one attempt of an agent or tool at a step; id is the call_id of the events.';
CREATE INDEX executions_execution ON executions (execution_id);
CREATE INDEX executions_agent ON executions (agent_id);
CREATE TRIGGER executions_touched BEFORE UPDATE ON executions
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE TABLE workflow_approvals (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    step_id uuid,
    call_id uuid,
    subject text NOT NULL,
    requested_from text,
    details jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
    requested_at timestamptz NOT NULL,
    decided_at timestamptz,
    decided_by text,
    comment text
);
CREATE INDEX workflow_approvals_execution ON workflow_approvals (execution_id, status);

CREATE TABLE workflow_artifacts (
    id uuid PRIMARY KEY,
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    step_id uuid,
    artifact_type artifact_type NOT NULL,
    name text NOT NULL,
    uri text NOT NULL,
    size_bytes bigint,
    content_type text,
    sha256 text,
    metadata jsonb NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX workflow_artifacts_type ON workflow_artifacts (execution_id, artifact_type);

CREATE TABLE execution_log (
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    sequence bigint NOT NULL,
    "timestamp" timestamptz NOT NULL,
    level text NOT NULL,
    step_index integer,
    step_name text,
    message text NOT NULL,
    details jsonb NOT NULL,
    PRIMARY KEY (execution_id, sequence)
);
CREATE INDEX execution_log_level ON execution_log (level, "timestamp");

CREATE TABLE append_keys (
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    key text NOT NULL CHECK (key <> ''),
    request_hash bytea NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    PRIMARY KEY (execution_id, key)
);
COMMENT ON TABLE append_keys IS 'Idempotency keys: the same key and content answers as the first time.';

CREATE TABLE usage_keys (
    execution_id uuid NOT NULL REFERENCES workflow_executions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    model_call_id text NOT NULL,
    PRIMARY KEY (execution_id, model_call_id)
);
COMMENT ON TABLE usage_keys IS 'One usage per model call of an execution.';

CREATE TABLE execution_snapshots (
    execution_id uuid NOT NULL REFERENCES execution_heads (id),
    sequence bigint NOT NULL CHECK (sequence > 0),
    reducer_version integer NOT NULL,
    state_hash bytea NOT NULL CHECK (octet_length(state_hash) = 32),
    state text NOT NULL,
    taken_at timestamptz NOT NULL,
    PRIMARY KEY (execution_id, sequence)
);
COMMENT ON TABLE execution_snapshots IS 'A cache of replays: ignored when the reducer version or the hash of the state differs.';

CREATE FUNCTION merge_patch(target jsonb, patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = ledger, pg_temp AS $$
-- RFC 7396.
DECLARE
    merged jsonb;
    member record;
BEGIN
    IF jsonb_typeof(patch) <> 'object' THEN
        RETURN patch;
    END IF;
    merged := CASE WHEN jsonb_typeof(target) = 'object' THEN target ELSE '{}' END;
    FOR member IN SELECT key, value FROM jsonb_each(patch) LOOP
        IF member.value = 'null' THEN
            merged := merged - member.key;
        ELSIF jsonb_typeof(member.value) = 'object' THEN
            merged := jsonb_set(merged, ARRAY[member.key], merge_patch(merged -> member.key, member.value));
        ELSE
            merged := jsonb_set(merged, ARRAY[member.key], member.value);
        END IF;
    END LOOP;
    RETURN merged;
END $$;

CREATE FUNCTION context_after(context jsonb, started jsonb, output jsonb, patch jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN patch IS NOT NULL THEN ledger.merge_patch(coalesce(context, started), patch)
    WHEN output IS NOT NULL THEN coalesce(context, started) || output
    ELSE coalesce(context, started)
END;

CREATE AGGREGATE accumulate_context(started jsonb, output jsonb, patch jsonb) (SFUNC = context_after, STYPE = jsonb);

CREATE FUNCTION last_items(items jsonb, n integer) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_array_length(items) <= n THEN items
    ELSE (
        SELECT jsonb_agg(i.value ORDER BY i.nth)
        FROM jsonb_array_elements(items) WITH ORDINALITY AS i (value, nth)
        WHERE i.nth > jsonb_array_length(items) - n
    )
END;
