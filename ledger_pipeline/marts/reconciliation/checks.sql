-- Facts hold what the events say, to the last decimal.
SELECT week, event_type, measure, in_events, in_facts, difference
FROM marts.reconciliation
WHERE NOT ok
ORDER BY week, event_type, measure;
