-- Ranks run from 1 without a gap, and the dearer comes first.
SELECT later.rank
FROM marts.cost_anomalies AS later
LEFT JOIN marts.cost_anomalies AS earlier ON later.rank = earlier.rank + 1
WHERE later.rank > 1 AND (earlier.rank IS NULL OR earlier.severity_usd < later.severity_usd);
