INSERT INTO execution_snapshots (execution_id, sequence, reducer_version, state_hash, state, taken_at)
VALUES (%(execution_id)s, %(sequence)s, %(reducer_version)s, %(state_hash)s, %(state)s, %(taken_at)s)
ON CONFLICT (execution_id, sequence) DO UPDATE SET
    reducer_version = excluded.reducer_version,
    state_hash = excluded.state_hash,
    state = excluded.state,
    taken_at = excluded.taken_at
