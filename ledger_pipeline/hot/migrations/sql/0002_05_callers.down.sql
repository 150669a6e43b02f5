DROP FUNCTION may(uuid, drive_access);
DROP FUNCTION drives_with_access(drive_access);
DROP FUNCTION acting_user();
DROP FUNCTION sees_every_drive();
DROP TYPE drive_access;
REVOKE ALL ON append_staging FROM ledger_application;
ALTER TABLE append_staging DROP COLUMN staged_by;
GRANT INSERT ON append_staging TO ledger_application;
ALTER DEFAULT PRIVILEGES FOR ROLE ledger_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
