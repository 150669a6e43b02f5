-- The consumer's place goes with what it counted.
DROP TABLE budget_totals, budget_counts, budgets;
DELETE FROM feed_cursors WHERE consumer = 'budgets';
