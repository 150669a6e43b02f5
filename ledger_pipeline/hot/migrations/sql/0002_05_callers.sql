-- Who is calling: on whose behalf a session acts, in which drives, and whose staged rows are whose.

-- What is made from here on is called by those alone to whom it is granted.
ALTER DEFAULT PRIVILEGES FOR ROLE ledger_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Filled in by the server: no role may write the column, so that a batch is its login's alone.
ALTER TABLE append_staging ADD COLUMN staged_by name DEFAULT session_user;
REVOKE INSERT ON append_staging FROM ledger_application;
DO $$
DECLARE
    given text := (
        SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute a
        WHERE a.attrelid = 'append_staging'::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attname NOT IN ('staged_at', 'staged_by'));
BEGIN
    EXECUTE format('GRANT INSERT (%s) ON append_staging TO ledger_application', given);
END $$;

CREATE TYPE drive_access AS ENUM ('read', 'write', 'administer');
COMMENT ON TYPE drive_access IS 'In rising order, each includes the ones before it.';

CREATE FUNCTION sees_every_drive() RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
-- The login counts, not the current role: inside a definer function that is the owner.
RETURN pg_has_role(session_user, 'ledger_service', 'USAGE');

CREATE FUNCTION acting_user() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- The user on whose behalf the session acts; NULL for nobody. A login that is a user's own is always that user.
-- The setting counts for a login of the application only, since any role can set one.
DECLARE
    found_user uuid := (SELECT u.id FROM users u WHERE u.database_login = session_user::text);
    named text := nullif(current_setting('ledger.user_id', true), '');
BEGIN
    IF found_user IS NOT NULL OR named IS NULL OR NOT pg_has_role(session_user, 'ledger_application', 'USAGE') THEN
        RETURN found_user;
    END IF;
    IF named !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        RAISE EXCEPTION USING ERRCODE = 'LG007', MESSAGE = format('ledger.user_id: %L is not a UUID', named);
    END IF;
    RETURN (SELECT u.id FROM users u WHERE u.id = named::uuid);
END $$;

CREATE FUNCTION drives_with_access(least_access drive_access DEFAULT 'read') RETURNS uuid[]
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- The drives in which the acting user has at least this access.
DECLARE
    actor uuid := acting_user();
BEGIN
    RETURN ARRAY(SELECT m.drive_id FROM drive_members m WHERE m.user_id = actor AND m.access >= least_access);
END $$;

CREATE FUNCTION may(drive uuid, least_access drive_access DEFAULT 'read') RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
-- Whether the session may do in a drive what this access allows.
RETURN ledger.sees_every_drive() OR coalesce(drive = ANY (ledger.drives_with_access(least_access)), false);
