-- Of each corrected call the sum of its corrections, and the last one.
CREATE TABLE standing AS
SELECT
    target_execution_id,
    model_call_id,
    CAST(sum(difference_usd) AS DECIMAL(38, 12)) AS corrections_usd,
    arg_max(payload, (recorded_at, execution_id, sequence)) AS last_payload
FROM corrections
GROUP BY target_execution_id, model_call_id
