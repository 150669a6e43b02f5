-- The drives and users that are meant by ids or, in what an author noted, by names.
SELECT
    ARRAY(SELECT d.id FROM drives d WHERE d.id::text = lower(%(drive)s) OR d.name = %(drive)s) AS drives,
    ARRAY(SELECT u.id FROM users u WHERE u.id::text = lower(%(creator)s) OR u.name = %(creator)s) AS creators
