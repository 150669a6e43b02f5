-- Where events lie in the batches that closed over them since the last build: the leaves that `prove` leads up from.
INSERT INTO staging.proof_positions
SELECT
    events.execution_id,
    events.sequence,
    incoming.n AS checkpoint,
    row_number() OVER (PARTITION BY incoming.n ORDER BY events.tx, events.execution_id, events.sequence) - 1
        AS batch_index,
    incoming.tree_index
FROM staging.events
JOIN incoming
    ON events.epoch = incoming.epoch AND events.tx >= incoming.first_tx AND events.tx < incoming.end_tx
-- Of a batch that lost events under retention the places can't be told.
QUALIFY count(*) OVER (PARTITION BY incoming.n) = incoming.events
