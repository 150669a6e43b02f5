-- Saves in one drive wait for each other: two that are checked at the same time could link to one another.
SELECT pg_advisory_xact_lock(19525, hashtext(coalesce(%(drive_id)s::text, '')))
