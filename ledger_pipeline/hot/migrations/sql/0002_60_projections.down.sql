CREATE OR REPLACE TRIGGER workflow_steps_hot BEFORE DELETE ON workflow_steps
    FOR EACH ROW EXECUTE FUNCTION refuse_deletion_while_hot();
DROP FUNCTION rebuild_projections(uuid[], bigint[], json);
DROP FUNCTION put_replayed_rows(regclass, name, json, uuid[]);
DROP FUNCTION rebuilding();
DROP TABLE projection_rebuilds;
