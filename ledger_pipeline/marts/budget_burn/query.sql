-- How each budget is used up, day by day of its periods, estimates and corrections included, as budgets count.
WITH usage AS (
    SELECT
        day,
        drive_id,
        workflow_name,
        agent_id,
        customer_id,
        count(*) AS calls,
        coalesce(sum(corrected_cost_usd), CAST(0 AS DECIMAL(38, 12)))
        + coalesce(sum(corrected_estimate_usd), CAST(0 AS DECIMAL(38, 12))) AS used_usd,
        sum(total_tokens) AS used_tokens
    FROM marts.model_usage
    GROUP BY day, drive_id, workflow_name, agent_id, customer_id
),

counted AS (
    SELECT budget.budget_id, usage.*
    FROM staging.budgets AS budget
    INNER JOIN usage ON budget.workflow_name = usage.workflow_name
    WHERE budget.scope = 'workflow' AND (budget.drive_id IS NULL OR CAST(budget.drive_id AS UUID) = usage.drive_id)
    UNION ALL
    SELECT budget.budget_id, usage.*
    FROM staging.budgets AS budget
    INNER JOIN usage ON CAST(budget.agent_id AS UUID) = usage.agent_id
    WHERE budget.scope = 'agent' AND (budget.drive_id IS NULL OR CAST(budget.drive_id AS UUID) = usage.drive_id)
    UNION ALL
    SELECT budget.budget_id, usage.*
    FROM staging.budgets AS budget
    INNER JOIN usage ON CAST(budget.customer_id AS UUID) = usage.customer_id
    WHERE budget.scope = 'customer' AND (budget.drive_id IS NULL OR CAST(budget.drive_id AS UUID) = usage.drive_id)
),

days AS (
    SELECT
        budget_id, day, CAST(sum(calls) AS BIGINT) AS calls, sum(used_usd) AS used_usd,
        CAST(sum(used_tokens) AS BIGINT) AS used_tokens
    FROM counted
    GROUP BY budget_id, day
),

dated AS (
    SELECT
        budget.*,
        days.day,
        days.calls,
        days.used_usd,
        days.used_tokens,
        CAST(CASE budget.period
            WHEN 'day' THEN days.day
            WHEN 'week' THEN date_trunc('week', days.day)
            WHEN 'month' THEN date_trunc('month', days.day)
            WHEN 'quarter' THEN date_trunc('quarter', days.day)
            ELSE date_trunc('year', days.day)
        END AS DATE) AS period_start
    FROM days
    INNER JOIN staging.budgets AS budget ON days.budget_id = budget.budget_id
),

ended AS (
    SELECT
        *,
        CAST(CASE period
            WHEN 'day' THEN period_start + INTERVAL 1 DAY
            WHEN 'week' THEN period_start + INTERVAL 7 DAY
            WHEN 'month' THEN period_start + INTERVAL 1 MONTH
            WHEN 'quarter' THEN period_start + INTERVAL 3 MONTH
            ELSE period_start + INTERVAL 1 YEAR
        END AS DATE) AS next_start,
        sum(used_usd) OVER period_to_date AS total_usd,
        CAST(sum(used_tokens) OVER period_to_date AS BIGINT) AS total_tokens
    FROM dated
    WINDOW period_to_date AS (PARTITION BY budget_id, period_start ORDER BY day)
)

SELECT
    CAST(budget_id AS UUID) AS budget_id,
    scope AS budget_scope,
    workflow_name,
    CAST(agent_id AS UUID) AS agent_id,
    CAST(customer_id AS UUID) AS customer_id,
    CAST(drive_id AS UUID) AS drive_id,
    period AS budget_period,
    period_start,
    next_start,
    day,
    next_start > CAST(timezone('UTC', created_at) AS DATE) AS counted,
    calls,
    used_usd,
    used_tokens,
    total_usd,
    total_tokens,
    limit_usd,
    limit_usd - total_usd AS remaining_usd,
    limit_tokens,
    limit_tokens - total_tokens AS remaining_tokens,
    CAST(total_usd AS DOUBLE) / CAST(limit_usd AS DOUBLE) AS burned_usd_ratio,
    CAST(total_tokens AS DOUBLE) / CAST(limit_tokens AS DOUBLE) AS burned_tokens_ratio,
    -- More of the limit than of the period is gone by the end of the day; multiplied out, so exact.
    coalesce(
        total_usd * date_diff('day', period_start, next_start)
        > limit_usd * (date_diff('day', period_start, day) + 1),
        FALSE
    ) OR coalesce(
        CAST(total_tokens AS DECIMAL(38, 0)) * date_diff('day', period_start, next_start)
        > CAST(limit_tokens AS DECIMAL(38, 0)) * (date_diff('day', period_start, day) + 1),
        FALSE
    ) AS ahead_of_pace
FROM ended
