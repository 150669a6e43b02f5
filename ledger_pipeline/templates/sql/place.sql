-- The drives and users that are meant by ids or, in what an author noted, by names; a known template stays in its drive.
SELECT
    CASE
        WHEN %(template_id)s::uuid IS NULL THEN
            ARRAY(SELECT d.id FROM drives d WHERE d.id::text = lower(%(drive)s) OR d.name = %(drive)s)
        ELSE ARRAY(SELECT t.drive_id FROM workflow_templates t WHERE t.id = %(template_id)s AND t.drive_id IS NOT NULL)
    END AS drives,
    ARRAY(
        SELECT u.id
        FROM users u
        -- Before what an author noted comes the user for whom the session acts.
        CROSS JOIN (SELECT coalesce(%(creator)s, acting_user()::text, %(noted)s) AS who) c
        WHERE u.id::text = lower(c.who) OR u.name = c.who
    ) AS creators
