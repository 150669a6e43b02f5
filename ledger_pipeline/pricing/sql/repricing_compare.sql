CREATE TABLE IF NOT EXISTS changed AS
SELECT costed.*, CAST(NULL AS DECIMAL(38, 12)) AS old_cost_usd, CAST(NULL AS VARCHAR) AS old_payload
FROM costed
LIMIT 0;

CREATE OR REPLACE TABLE part AS
SELECT
    costed.*,
    CASE
        WHEN standing.model_call_id IS NULL THEN costed.cost_usd
        ELSE coalesce(costed.cost_usd, CAST(0 AS DECIMAL(38, 12))) + standing.corrections_usd
    END AS old_cost_usd,
    coalesce(standing.last_payload, costed.payload) AS old_payload
FROM costed
LEFT JOIN standing
    ON costed.execution_id = standing.target_execution_id AND costed.model_call_id = standing.model_call_id;

INSERT INTO compared
SELECT event_id, strftime(timezone('UTC', occurred_at), '%Y-%m'), provider, model, old_cost_usd, new_cost_usd
FROM part;

INSERT INTO changed BY NAME
SELECT *
FROM part
WHERE new_cost_usd IS NOT NULL AND new_cost_usd IS DISTINCT FROM old_cost_usd
