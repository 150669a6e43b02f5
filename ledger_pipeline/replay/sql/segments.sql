CREATE TEMP TABLE segments (
    week DATE,
    execution_id VARCHAR,
    events BIGINT,
    first_sequence BIGINT,
    last_sequence BIGINT,
    first_event VARCHAR,
    last_event VARCHAR,
    first_leaf BLOB,
    first_hash BLOB,
    last_hash BLOB,
    bad_sequence BIGINT,
    bad_event VARCHAR,
    fault VARCHAR
);
CREATE TEMP TABLE heads (execution_id VARCHAR, last_sequence BIGINT, head_hash BLOB);
CREATE TEMP TABLE feed (epoch INTEGER, tx BIGINT, execution_id VARCHAR, sequence BIGINT, node BLOB);
CREATE TEMP TABLE files (file_name VARCHAR, file_week DATE);
