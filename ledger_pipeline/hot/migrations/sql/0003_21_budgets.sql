-- Budgets of a workflow, an agent or a customer, each for a period; and how far the consumer that judges them has counted.

CREATE TABLE budgets (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    drive_id uuid REFERENCES drives (id) ON DELETE CASCADE,
    scope text NOT NULL CHECK (scope IN ('workflow', 'agent', 'customer')),
    -- Events have no such name.
    workflow_name text CHECK (workflow_name <> '' AND strpos(workflow_name, chr(31)) = 0),
    agent_id uuid REFERENCES agents (id) ON DELETE CASCADE,
    customer_id uuid REFERENCES customers (id) ON DELETE CASCADE,
    period text NOT NULL CHECK (period IN ('day', 'week', 'month', 'quarter', 'year')),
    limit_usd numeric(38, 12) CHECK (limit_usd > 0 AND limit_usd <= 1000000000000),
    limit_tokens bigint CHECK (limit_tokens > 0 AND limit_tokens <= 1000000000000),
    thresholds integer[] NOT NULL DEFAULT '{80,100}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT budgets_target CHECK (
        (scope = 'workflow') = (workflow_name IS NOT NULL)
        AND (scope = 'agent') = (agent_id IS NOT NULL)
        AND (scope = 'customer') = (customer_id IS NOT NULL)),
    CONSTRAINT budgets_limit CHECK (num_nonnulls(limit_usd, limit_tokens) > 0),
    CONSTRAINT budgets_thresholds CHECK (
        cardinality(thresholds) BETWEEN 1 AND 20 AND array_position(thresholds, NULL) IS NULL
        AND 1 <= ALL (thresholds) AND 1000 >= ALL (thresholds)),
    CONSTRAINT budgets_once UNIQUE NULLS NOT DISTINCT (drive_id, scope, workflow_name, agent_id, customer_id, period)
);
COMMENT ON TABLE budgets IS 'What a workflow, an agent or a customer may cost in a period, UTC; what exceeds it is in the budget''s own stream.';
COMMENT ON COLUMN budgets.drive_id IS 'Counts what is of this drive alone; NULL: of the whole ledger.';
COMMENT ON COLUMN budgets.thresholds IS 'Percent of a limit at whose crossing a BudgetExceeded is recorded.';
CREATE INDEX budgets_customer ON budgets (customer_id);
CREATE INDEX budgets_agent ON budgets (agent_id);

-- Derived from events, and made anew from them: which stream a budget has, since when and by which terms it counts.
CREATE TABLE budget_counts (
    budget_id uuid PRIMARY KEY REFERENCES budgets (id) ON DELETE CASCADE,
    stream_id uuid NOT NULL,
    terms text NOT NULL,
    since timestamptz NOT NULL
);
CREATE TABLE budget_totals (
    budget_id uuid NOT NULL REFERENCES budgets (id) ON DELETE CASCADE,
    starts_at timestamptz NOT NULL,
    period text NOT NULL,
    total_usd numeric(38, 12) NOT NULL,
    total_tokens bigint NOT NULL,
    PRIMARY KEY (budget_id, starts_at)
);
COMMENT ON TABLE budget_totals IS 'What was used in each period of a budget, estimates and corrections included, as far as the feed was judged.';

CREATE TRIGGER budgets_touched BEFORE UPDATE ON budgets FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
SELECT log_changes_of('budgets');
SELECT protect_rows_from_truncate('budgets');

-- Members see the budgets of their drives, administrators set them, for customers and agents whom they may see.
ALTER TABLE budgets ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON budgets FOR SELECT TO ledger_reader, ledger_application
    USING (drive_id = ANY ((SELECT drives_with_access('read'))::uuid[]));
DO $$
DECLARE
    administered CONSTANT text := '
        drive_id = ANY ((SELECT ledger.drives_with_access(''administer''))::uuid[])';
    -- The subqueries see what the policies of customers and agents let through.
    visible CONSTANT text := '
        AND (customer_id IS NULL OR EXISTS (SELECT FROM ledger.customers c WHERE c.id = customer_id))
        AND (agent_id IS NULL OR EXISTS (SELECT FROM ledger.agents a WHERE a.id = agent_id))';
BEGIN
    EXECUTE format('CREATE POLICY set_by_administrators ON budgets FOR INSERT TO ledger_application WITH CHECK (%s)',
        administered || visible);
    EXECUTE format('CREATE POLICY changed_by_administrators ON budgets FOR UPDATE TO ledger_application USING (%s)',
        administered);
    EXECUTE format('CREATE POLICY removed_by_administrators ON budgets FOR DELETE TO ledger_application USING (%s)',
        administered);
END $$;
CREATE POLICY every_drive ON budgets TO ledger_archiver, ledger_service USING (true) WITH CHECK (true);
ALTER TABLE budget_totals ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_readable_budgets ON budget_totals FOR SELECT TO ledger_reader, ledger_application
    USING (EXISTS (SELECT FROM budgets b WHERE b.id = budget_id));
CREATE POLICY every_drive ON budget_totals TO ledger_archiver, ledger_service USING (true) WITH CHECK (true);

GRANT SELECT ON budgets, budget_totals TO ledger_reader, ledger_application, ledger_archiver, ledger_service;
GRANT INSERT (drive_id, scope, workflow_name, agent_id, customer_id, period, limit_usd, limit_tokens, thresholds),
    UPDATE (limit_usd, limit_tokens, thresholds), DELETE ON budgets TO ledger_application;
GRANT INSERT, UPDATE, DELETE ON budgets TO ledger_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON budget_counts, budget_totals TO ledger_service;
