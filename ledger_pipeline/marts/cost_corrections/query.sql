-- One row a correction of a model call's cost by a re-pricing run, with whom the call is charged to.
SELECT
    correction.run_id,
    correction.run_sequence,
    correction.booked_on,
    correction.execution_id,
    correction.model_call_id,
    usage.occurred_at,
    usage.day,
    usage.month,
    usage.execution_kind,
    usage.workflow_name,
    usage.mode,
    usage.customer_id,
    usage.user_id,
    usage.provider,
    usage.model,
    correction.old_cost_usd,
    correction.new_cost_usd,
    correction.difference_usd
FROM staging.corrections AS correction
INNER JOIN marts.model_usage AS usage
    ON correction.execution_id = usage.execution_id AND correction.model_call_id = usage.model_call_id
