-- Model calls to look at, the dearest first: costs are compared without dividing money, so the answer is exact.
WITH model_days AS (
    SELECT provider, model, day, count(*) AS calls, sum(cost_usd) AS cost_usd, max(cost_usd) AS highest_cost_usd
    FROM marts.model_usage
    WHERE priced
    GROUP BY provider, model, day
),

baselines AS (
    SELECT
        provider,
        model,
        day,
        CAST(sum(calls) OVER days_before AS BIGINT) AS baseline_calls,
        sum(cost_usd) OVER days_before AS baseline_cost_usd,
        max(highest_cost_usd) OVER days_before AS baseline_highest_usd
    FROM model_days
    WINDOW days_before AS (
        PARTITION BY provider, model ORDER BY day RANGE BETWEEN INTERVAL 28 DAY PRECEDING AND INTERVAL 1 DAY PRECEDING
    )
),

compared AS (
    SELECT
        usage.*,
        coalesce(usage.cost_usd, usage.estimated_cost_usd) AS expected_usd,
        usage.recorded_cost_usd - coalesce(usage.cost_usd, usage.estimated_cost_usd) AS difference_usd
    FROM marts.model_usage AS usage
),

found AS (
    SELECT
        compared.execution_id,
        compared.sequence,
        CASE
            WHEN compared.priced THEN 'recorded_differs_from_computed'
            ELSE 'recorded_above_estimate'
        END AS reason,
        abs(compared.difference_usd) AS severity_usd,
        CAST(compared.recorded_cost_usd AS DOUBLE) / nullif(CAST(compared.expected_usd AS DOUBLE), 0) AS ratio,
        CAST(NULL AS BIGINT) AS baseline_calls,
        CAST(NULL AS DECIMAL(38, 12)) AS baseline_cost_usd,
        CAST(NULL AS DECIMAL(38, 12)) AS baseline_highest_usd
    FROM compared
    WHERE
        (
            compared.priced
            AND (
                abs(compared.difference_usd) >= 1
                OR (
                    abs(compared.difference_usd) >= 0.01
                    AND (
                        compared.recorded_cost_usd > 2 * compared.expected_usd
                        OR 2 * compared.recorded_cost_usd < compared.expected_usd
                    )
                )
            )
        )
        -- The estimate is a cautious ceiling: less was recorded for nearly every unpriced call.
        OR (NOT compared.priced AND compared.difference_usd >= 0.01)
    UNION ALL
    SELECT
        compared.execution_id,
        compared.sequence,
        'outlier_within_model' AS reason,
        compared.cost_usd AS severity_usd,
        CAST(compared.cost_usd * baselines.baseline_calls AS DOUBLE)
        / nullif(CAST(baselines.baseline_cost_usd AS DOUBLE), 0) AS ratio,
        baselines.baseline_calls,
        baselines.baseline_cost_usd,
        baselines.baseline_highest_usd
    FROM compared
    INNER JOIN baselines
        ON
            compared.model = baselines.model
            AND compared.day = baselines.day
            AND compared.provider IS NOT DISTINCT FROM baselines.provider
    WHERE
        baselines.baseline_calls >= 30
        AND compared.cost_usd >= 0.10
        AND compared.cost_usd * baselines.baseline_calls > 20 * baselines.baseline_cost_usd
)

SELECT
    row_number() OVER (ORDER BY found.severity_usd DESC, found.execution_id, found.sequence, found.reason) AS rank,
    found.reason,
    CASE found.reason
        WHEN 'recorded_differs_from_computed'
            THEN 'recorded $' || CAST(compared.recorded_cost_usd AS VARCHAR)
            || ', computed $' || CAST(compared.cost_usd AS VARCHAR)
        WHEN 'recorded_above_estimate'
            THEN 'recorded $' || CAST(compared.recorded_cost_usd AS VARCHAR)
            || ', estimated at most $' || CAST(compared.estimated_cost_usd AS VARCHAR)
        ELSE 'cost $' || CAST(compared.cost_usd AS VARCHAR) || ', while ' || CAST(found.baseline_calls AS VARCHAR)
            || ' calls of the model in the 28 days before cost $' || CAST(found.baseline_cost_usd AS VARCHAR)
    END AS explanation,
    found.severity_usd,
    found.ratio,
    compared.event_id,
    compared.execution_id,
    compared.sequence,
    compared.occurred_at,
    compared.day,
    compared.workflow_name,
    compared.agent_name,
    compared.customer_id,
    compared.user_id,
    compared.mode,
    compared.source_file,
    compared.source_line,
    compared.provider,
    compared.model,
    compared.total_tokens,
    compared.pricing_status,
    compared.cost_usd,
    compared.estimated_cost_usd,
    compared.recorded_cost_usd,
    compared.difference_usd,
    found.baseline_calls,
    found.baseline_cost_usd,
    found.baseline_highest_usd
FROM found
INNER JOIN compared ON found.execution_id = compared.execution_id AND found.sequence = compared.sequence
