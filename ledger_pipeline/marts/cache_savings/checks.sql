-- Tokens read from the cache and written to it are those of all model calls.
SELECT part.tokens, whole.tokens AS all_tokens
FROM (
    SELECT coalesce(sum(cache_read_tokens + cache_write_tokens), 0) AS tokens
    FROM marts.cache_savings
) AS part
CROSS JOIN (
    SELECT coalesce(sum(cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens), 0) AS tokens
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
) AS whole
WHERE part.tokens <> whole.tokens;

-- What the cache saved is what it saved in all model calls that used it.
SELECT part.saved_usd, whole.saved_usd AS all_saved_usd
FROM (SELECT coalesce(sum(cache_saved_usd), 0) AS saved_usd FROM marts.cache_savings) AS part
CROSS JOIN (
    SELECT coalesce(sum(cache_saved_usd), 0) AS saved_usd
    FROM marts.model_usage
    WHERE execution_kind = 'workflow'
) AS whole
WHERE part.saved_usd <> whole.saved_usd;
