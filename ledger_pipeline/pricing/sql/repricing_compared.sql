-- One row a call: what it costs so far, and as the price book knows it now.
CREATE TABLE compared (
    event_id VARCHAR,
    month VARCHAR,
    provider VARCHAR,
    model VARCHAR,
    old_cost_usd DECIMAL(38, 12),
    new_cost_usd DECIMAL(38, 12)
)
