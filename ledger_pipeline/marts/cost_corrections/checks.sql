-- The corrections add up to what the model calls show.
SELECT listed.total AS listed, shown.total AS shown
FROM (SELECT coalesce(sum(difference_usd), 0) AS total FROM marts.cost_corrections) AS listed
CROSS JOIN (SELECT coalesce(sum(corrections_usd), 0) AS total FROM marts.model_usage) AS shown
WHERE listed.total <> shown.total;
