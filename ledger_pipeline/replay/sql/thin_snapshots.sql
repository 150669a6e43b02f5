-- Of the executions given, deletes every snapshot that is not among those kept.
DELETE FROM execution_snapshots s
WHERE s.execution_id = ANY(%(ids)s)
    AND NOT EXISTS (
        SELECT FROM unnest(%(kept_ids)s::uuid[], %(kept_sequences)s::bigint[]) AS kept (id, sequence)
        WHERE kept.id = s.execution_id AND kept.sequence = s.sequence
    )
