DROP FUNCTION make_leaf(text, date), needs_leaves(date);
ALTER FUNCTION make_any_leaf(text, date) RENAME TO make_leaf;
GRANT EXECUTE ON FUNCTION make_leaf(text, date) TO ledger_application, ledger_archiver;
