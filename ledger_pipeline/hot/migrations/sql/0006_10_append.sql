-- Derived from hot/sql by ledger_pipeline.hot.ddl.

