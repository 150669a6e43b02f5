-- What records of notes say of batches that are in doubt, and what there is now.
CREATE TEMP TABLE noted (batch BIGINT, execution_id VARCHAR, sequence BIGINT, hash BLOB);
CREATE TEMP TABLE present (event_id VARCHAR, execution_id VARCHAR, sequence BIGINT, hash BLOB);
