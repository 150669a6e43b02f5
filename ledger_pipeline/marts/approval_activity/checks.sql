-- Every approval is counted once.
SELECT counted.approvals, asked.approvals AS all_approvals
FROM (SELECT coalesce(sum(approvals), 0) AS approvals FROM marts.approval_activity) AS counted
CROSS JOIN (SELECT count(*) AS approvals FROM marts.approvals) AS asked
WHERE counted.approvals <> asked.approvals;

-- Who waits for a decision has no latency, who decided has one.
SELECT month, workflow_name, decided_by, status, latency_ms
FROM marts.approval_activity
WHERE (status = 'pending') <> (latency_ms IS NULL);
