-- Budgets that nobody has counted yet get a stream; without terms, so that they begin to count.
INSERT INTO budget_counts (budget_id, stream_id, terms, since)
SELECT b.id, uuidv7(), '', b.created_at FROM budgets b
ON CONFLICT DO NOTHING
