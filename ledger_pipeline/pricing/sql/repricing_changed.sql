SELECT *
FROM changed
ORDER BY occurred_at, execution_id, sequence
