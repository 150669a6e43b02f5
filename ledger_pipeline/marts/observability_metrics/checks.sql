-- by key: Days, weeks and months hold the same sums.
SELECT metric_type, dimension, count(DISTINCT numerator) AS sums, count(DISTINCT denominator) AS counts
FROM (
    SELECT
        metric_type, dimension, aggregation_period, coalesce(sum(numerator), 0) AS numerator,
        sum(denominator) AS denominator
    FROM marts.observability_metrics
    WHERE aggregation_period <> 'hour'
    GROUP BY metric_type, dimension, aggregation_period
) AS by_period
GROUP BY metric_type, dimension
HAVING count(DISTINCT numerator) > 1 OR count(DISTINCT denominator) > 1;
