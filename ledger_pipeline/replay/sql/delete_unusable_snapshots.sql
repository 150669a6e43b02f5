-- Snapshots whose state is not the text that was hashed, which no replay begins with.
DELETE FROM execution_snapshots
WHERE reducer_version = %(reducer_version)s
    AND (octet_length(state) <> char_length(state) OR state_hash <> sha256(convert_to(state, 'UTF8')))
