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
RETURN given ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';

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
                    WHEN is_uuid(e.entry ->> 'step_id') IS NOT TRUE THEN '.step_id: must be a UUID'
                    WHEN coalesce(e.entry ->> 'path', '') !~ '^[0-9]+(/[0-9]+)*$' THEN
                        '.path: must be numbers joined by "/", such as 2/0/1'
                    WHEN coalesce((e.entry -> 'step_order')::text, '') !~ '^[0-9]{1,9}$' THEN
                        '.step_order: must be a whole number, 0 or more'
                    WHEN coalesce(jsonb_typeof(e.entry -> 'step_name'), '') <> 'string' OR e.entry ->> 'step_name' = '' THEN
                        '.step_name: must be a text'
                    WHEN e.entry ? 'step_type' AND coalesce(e.entry ->> 'step_type', '') NOT IN (/*step_types*/) THEN
                        '.step_type: is not known; allowed: ' || concat_ws(', ', /*step_types*/)
                    WHEN e.entry ? 'max_attempts' AND (e.entry -> 'max_attempts')::text !~ '^[1-9][0-9]{0,8}$' THEN
                        '.max_attempts: must be a whole number, 1 or more'
                    WHEN NOT is_uuid(e.entry ->> 'parent_step_id') THEN
                        '.parent_step_id: must be a UUID'
                    WHEN NOT is_uuid(e.entry ->> 'template_step_id') THEN
                        '.template_step_id: must be a UUID'
                    WHEN NOT is_uuid(e.entry ->> 'agent_id') THEN '.agent_id: must be a UUID'
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
LANGUAGE sql STABLE PARALLEL SAFE
-- What the event's class would refuse of its payload: the fold and the projections must read the same.
RETURN CASE
    WHEN jsonb_typeof(payload) <> 'object' THEN 'payload: must be a JSON object'
    ELSE CASE event_type
        /*payload_cases*/
    END
END;

CREATE FUNCTION column_rules() RETURNS TABLE (
    nth integer, name text, kind text, types text[], required_by text[], vocabulary text[], minimum text, maximum text,
    allowed text
)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- What each column takes that a client gives; NULL where every type has it, or where there is no bound.
    VALUES
        /*column_rules*/
$$;

CREATE FUNCTION has_zone(written text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Without its zone a time would be read in that of the session.
RETURN written ~ ':[0-9.]+ ?([Zz]|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$';

CREATE FUNCTION is_within(kind text, value json, minimum text, maximum text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
-- Whether a JSON value reads as one of the column's type, within its bounds.
DECLARE
    written text := value #>> '{}';
BEGIN
    RETURN CASE kind
        WHEN 'text' THEN json_typeof(value) = 'string' AND written <> '' AND strpos(written, chr(31)) = 0
        WHEN 'uuid' THEN json_typeof(value) = 'string' AND written::uuid IS NOT NULL
        WHEN 'json' THEN jsonb_typeof(written::jsonb) = 'object'
        WHEN 'timestamptz' THEN json_typeof(value) = 'string' AND has_zone(written)
            AND written::timestamptz >= minimum::timestamptz AND written::timestamptz < maximum::timestamptz
        WHEN 'numeric(38,12)' THEN written::numeric BETWEEN minimum::numeric AND maximum::numeric
            AND scale(trim_scale(written::numeric)) <= 12
        ELSE written::bigint BETWEEN minimum::bigint AND maximum::bigint
    END;
EXCEPTION WHEN data_exception THEN
    RETURN false;
END $$;

CREATE FUNCTION value_fault(given json) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = ledger, pg_temp AS $$
    -- The first column of an event that can't take what was given, its SQLSTATE before it; the words are those of the
    -- catalogue's `row_fault`. Asked only once a value was refused: what is judged here costs more than an append.
    SELECT format('LG010 %s: is no column of an event; what has none belongs into the payload', m.key)
    FROM json_each(given) m
    WHERE m.key <> ALL (ARRAY[/*request_names*/])
    UNION ALL
    (SELECT CASE
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
    ORDER BY f.nth)
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
-- The events of a request as rows. What would be read as something else than it is, or left out, is refused.
BEGIN
    IF EXISTS (
        SELECT
        FROM json_array_elements(p_events) e
        CROSS JOIN LATERAL json_each(e) m
        WHERE m.key <> ALL (ARRAY[/*request_names*/])
            OR m.key = ANY (ARRAY[/*string_names*/]) AND json_typeof(m.value) NOT IN ('string', 'null')
            OR m.key IN (/*time_names*/) AND NOT has_zone(m.value #>> '{}')
            OR m.key IN (/*amount_names*/) AND scale((m.value #>> '{}')::numeric) > 12
    ) THEN
        PERFORM refuse_values(ARRAY(SELECT json_array_elements(p_events)));
    END IF;
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
    /*move_type*/
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
            payload_fault(g.event_type, g.parsed),
            -- A bound of our own, so that no reader's stack decides what can be replayed.
            CASE WHEN g.bytes > 400 AND g.parsed @? 'strict $.**{200} ? (@.type() == "object" || @.type() == "array")'
                THEN 'payload: is nested deeper than 200 levels' END) AS fault
        -- Parsed once: what `payload_fault` takes must be a plain column for it to be inlined.
        FROM (
            SELECT b.ordinal, b.event_type, octet_length(b.payload) AS bytes, coalesce(b.payload, '{}')::jsonb AS parsed
            FROM unnest(given) b
            WHERE b.payload <> '{}' OR b.event_type = 'ContextUpdated'
            OFFSET 0
        ) g
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
                /*event_row*/,
                NULL, NULL
            )::workflow_events AS event,
            ROW(
                /*move_row*/
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
    FROM ROWS FROM (unnest(prepared.moves), unnest(digests.hashes)) AS e (/*move_columns*/, hash)
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
    SELECT /*row_columns*/, d.leaf, d.hash
    FROM ROWS FROM (unnest(prepared.stored), unnest(digests.leaves), unnest(digests.hashes))
        AS d (/*row_names*/, no_leaf, no_hash, leaf, hash);

    PERFORM project(prepared.moves, prepared.whole, types);
    RETURN cardinality(prepared.stored);
-- Judged after the fact: the tables' own constraints have looked at every value once.
EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
    PERFORM refuse_values(ARRAY(
        SELECT (to_jsonb(g) - '{batch, staged_at, staged_by}'::text[])::json FROM unnest(given) g ORDER BY g.ordinal));
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
