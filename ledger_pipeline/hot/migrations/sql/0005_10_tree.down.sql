-- The tree follows from its rows, as long as it has the order of their time: an upgrade makes the same one again, and
-- notes that were signed stay true.
DO $$
BEGIN
    IF (SELECT array_agg(canonical_text ORDER BY place) FROM tree_leaves)
        IS DISTINCT FROM (SELECT array_agg(canonical_text ORDER BY ordinality) FROM tree_texts_by_time() WITH ORDINALITY)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'LG005',
            MESSAGE = 'the downgrade would lose the order of tree_leaves, which signed notes bear witness to; nothing was changed';
    END IF;
END $$;

DROP TRIGGER in_tree ON checkpoints;
DROP TRIGGER in_tree ON ledger_epochs;
DROP TRIGGER in_tree ON archive_manifest;
DROP FUNCTION add_to_tree();
DROP FUNCTION add_tree_leaf(text);
DROP FUNCTION tree_texts_by_time();
DROP FUNCTION tree_text(checkpoints);
DROP FUNCTION tree_text(archive_manifest);
DROP FUNCTION tree_text(ledger_epochs);
DROP TABLE tree_leaves;
