-- Who decided how much, how soon: per workflow and UTC month of the request.
SELECT
    strftime(day, '%Y-%m') AS month,
    workflow_name,
    decided_by,
    decided_by_kind,
    status,
    count(*) AS approvals,
    count(DISTINCT execution_id) AS executions,
    count(*) FILTER (WHERE self_decided) AS self_decided,
    count(*) FILTER (WHERE decided_by_another) AS decided_by_another,
    count(*) FILTER (WHERE decisions > 1) AS decided_again,
    CAST(sum(latency_ms) AS BIGINT) AS latency_ms,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY latency_ms) AS median_latency_ms,
    percentile_disc(0.95) WITHIN GROUP (ORDER BY latency_ms) AS p95_latency_ms,
    max(latency_ms) AS longest_latency_ms,
    min(requested_at) AS first_requested_at,
    max(decided_at) AS last_decided_at
FROM marts.approvals
GROUP BY strftime(day, '%Y-%m'), workflow_name, decided_by, decided_by_kind, status
