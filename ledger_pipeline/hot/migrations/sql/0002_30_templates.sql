-- Workflow definitions: templates, their immutable versions, and the steps of the current one.

CREATE TABLE workflow_templates (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    drive_id uuid REFERENCES drives (id) ON DELETE CASCADE,
    name text NOT NULL CHECK (name ~ '^[a-z][a-z0-9]*(_[a-z0-9]+)*$'),
    title text CHECK (title <> ''),
    description text,
    version text NOT NULL CHECK (version <> ''),
    current_version integer NOT NULL CHECK (current_version > 0),
    status template_status NOT NULL,
    category text CHECK (category <> ''),
    tags text[] NOT NULL DEFAULT '{}',
    parameters jsonb NOT NULL DEFAULT '{}',
    outputs jsonb NOT NULL DEFAULT '{}',
    timeout_minutes integer CHECK (timeout_minutes > 0),
    max_retries integer CHECK (max_retries >= 0),
    created_by uuid REFERENCES users (id) ON DELETE CASCADE,
    is_public boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT workflow_templates_name_in_drive UNIQUE NULLS NOT DISTINCT (drive_id, name)
);
COMMENT ON TABLE workflow_templates IS 'What a workflow is, as its current version says; public means public to the drive.';
COMMENT ON COLUMN workflow_templates.version IS 'The current version''s tag; current_version is its number.';
COMMENT ON COLUMN workflow_templates.parameters IS 'JSON Schema or the short form, as the author wrote it.';
CREATE INDEX workflow_templates_drive ON workflow_templates (drive_id, created_at, id);
CREATE INDEX workflow_templates_creator ON workflow_templates (created_by, created_at, id);
CREATE INDEX workflow_templates_category ON workflow_templates (category);
CREATE INDEX workflow_templates_status ON workflow_templates (status);
CREATE INDEX workflow_templates_public ON workflow_templates (is_public);
CREATE INDEX workflow_templates_name ON workflow_templates (name);
CREATE INDEX workflow_templates_tags ON workflow_templates USING gin (tags);
CREATE INDEX workflow_templates_newest ON workflow_templates (created_at, id);
CREATE TRIGGER workflow_templates_touched BEFORE UPDATE ON workflow_templates
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE TABLE workflow_template_versions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    template_id uuid NOT NULL REFERENCES workflow_templates (id) ON DELETE CASCADE,
    version_number integer NOT NULL CHECK (version_number > 0),
    version_tag text NOT NULL CHECK (version_tag <> ''),
    -- json, not jsonb: the author's text to the letter, which an execution of this version can show.
    template_snapshot json NOT NULL,
    change_summary text,
    change_type change_type NOT NULL,
    breaking_changes boolean NOT NULL,
    -- Whoever it was, also after they are gone: no reference.
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT workflow_template_versions_number UNIQUE (template_id, version_number),
    CONSTRAINT workflow_template_versions_tag UNIQUE (template_id, version_tag)
);
COMMENT ON TABLE workflow_template_versions IS 'Every version of a template, as it was saved: never changed, deleted with its template only.';

CREATE FUNCTION keep_template_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- A cascade deletes the versions when their template is gone already; anybody else finds it there.
BEGIN
    IF EXISTS (SELECT FROM workflow_templates t WHERE t.id = OLD.template_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'LG006', MESSAGE = format(
            'version %s of template %s is kept as long as the template: delete the template, or save a new version',
            OLD.version_number, OLD.template_id);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER workflow_template_versions_immutable BEFORE UPDATE ON workflow_template_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER workflow_template_versions_kept BEFORE DELETE ON workflow_template_versions
    FOR EACH ROW EXECUTE FUNCTION keep_template_version();
CREATE TRIGGER workflow_template_versions_not_truncated BEFORE TRUNCATE ON workflow_template_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE workflow_template_versions
    ENABLE ALWAYS TRIGGER workflow_template_versions_immutable,
    ENABLE ALWAYS TRIGGER workflow_template_versions_kept,
    ENABLE ALWAYS TRIGGER workflow_template_versions_not_truncated;

CREATE TABLE workflow_template_steps (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    template_id uuid NOT NULL REFERENCES workflow_templates (id) ON DELETE CASCADE,
    version integer NOT NULL CHECK (version > 0),
    path text NOT NULL CHECK (path ~ '^\d+(/\d+)*$'),
    step_order integer NOT NULL CHECK (step_order >= 0),
    name text NOT NULL CHECK (name <> ''),
    type step_type NOT NULL,
    title text,
    agent_id text,
    prompt_template text,
    tool_name text,
    config jsonb NOT NULL,
    requires_user_input boolean NOT NULL DEFAULT false,
    input_schema jsonb,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Judged at the end of a statement: a save moves several steps at once.
    CONSTRAINT workflow_template_steps_path UNIQUE (template_id, path) DEFERRABLE INITIALLY IMMEDIATE
);
COMMENT ON TABLE workflow_template_steps IS
    'The current version''s steps, nested ones too; a step that keeps its name or path from version to version keeps its id.';
COMMENT ON COLUMN workflow_template_steps.agent_id IS 'Which agent, as the author names it: a name or a UUID.';
CREATE INDEX workflow_template_steps_order ON workflow_template_steps (template_id, step_order);
CREATE INDEX workflow_template_steps_link ON workflow_template_steps ((config ->> 'workflow_name'))
    WHERE type = 'workflow_link';
CREATE TRIGGER workflow_template_steps_touched BEFORE UPDATE ON workflow_template_steps
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- What executions refer to. Triggers, not foreign keys: an import brings executions of templates that this ledger never
-- had, and its events must be taken as they are; a foreign key, also a NOT VALID one, would refuse them. What a deletion
-- does is the same: executions follow their template, the history of a deleted step stays.

CREATE FUNCTION delete_executions_of_templates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
-- Refused by workflow_executions_hot while any of them has hot events.
BEGIN
    DELETE FROM workflow_executions x USING gone g WHERE x.template_id = g.id;
    RETURN NULL;
END $$;
CREATE TRIGGER workflow_templates_executions AFTER DELETE ON workflow_templates
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_executions_of_templates();

-- References are nulled in rows that are there; a row that is made of events later on is to have none either.
CREATE TABLE forgotten_references (id uuid PRIMARY KEY);
COMMENT ON TABLE forgotten_references IS
    'Step definitions and agents that were deleted: steps and calls that named them do so no more, their events for ever.';

CREATE FUNCTION is_forgotten(p_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ledger, pg_temp
RETURN EXISTS (SELECT FROM ledger.forgotten_references f WHERE f.id = p_id);

CREATE FUNCTION forget_template_steps() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ledger, pg_temp AS $$
BEGIN
    INSERT INTO forgotten_references SELECT g.id FROM gone g ON CONFLICT DO NOTHING;
    UPDATE workflow_steps s SET template_step_id = NULL FROM gone g WHERE s.template_step_id = g.id;
    RETURN NULL;
END $$;
CREATE TRIGGER workflow_template_steps_history AFTER DELETE ON workflow_template_steps
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_template_steps();
ALTER TABLE workflow_templates ENABLE ALWAYS TRIGGER workflow_templates_executions;
ALTER TABLE workflow_template_steps ENABLE ALWAYS TRIGGER workflow_template_steps_history;

REVOKE ALL ON FUNCTION
    keep_template_version(), delete_executions_of_templates(), forget_template_steps(), is_forgotten(uuid)
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_forgotten(uuid) TO ledger_reader, ledger_application, ledger_archiver;
GRANT SELECT ON workflow_templates, workflow_template_versions, workflow_template_steps
    TO ledger_reader, ledger_application, ledger_archiver;
GRANT INSERT, UPDATE, DELETE ON workflow_templates, workflow_template_steps TO ledger_application;
GRANT INSERT ON workflow_template_versions TO ledger_application;
