-- What re-pricing runs found: one row a CostRecalculated; `execution_id` and `model_call_id` name the call it corrects.
SELECT
    CAST(target_execution_id AS UUID) AS execution_id,
    model_call_id,
    CAST(execution_id AS UUID) AS run_id,
    sequence AS run_sequence,
    week,
    /*booked_on*/ AS booked_on,
    old_cost_usd,
    new_cost_usd,
    difference_usd
FROM incoming
WHERE event_type = 'CostRecalculated'
