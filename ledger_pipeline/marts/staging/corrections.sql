-- What re-pricing runs found: one row a CostRecalculated; `event_id` is the usage that it corrects.
SELECT
    CAST(target_event_id AS UUID) AS event_id,
    CAST(event_id AS UUID) AS correction_event_id,
    week,
    CAST(execution_id AS UUID) AS run_id,
    recorded_at,
    old_cost_usd,
    new_cost_usd,
    difference_usd
FROM incoming
WHERE event_type = 'CostRecalculated'
