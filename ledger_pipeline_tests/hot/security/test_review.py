"""Every function and relation has been looked at: a new one fails here until somebody has."""

import pytest

from ledger_pipeline_tests.hot.security.conftest import World

pytestmark = pytest.mark.mission("E6")

R, A, C, S = "ledger_reader", "ledger_application", "ledger_archiver", "ledger_service"

REVIEWED: dict[str, set[str]] = {
    # Appends: judge the caller by refuse_foreign_drives().
    "append": {A},
    "append_staged": {A},
    "staged_weeks": {A},
    "discard_staged": {A},
    # Tells how many rows were older than an hour, of all logins together.
    "clear_staging": {A},
    # Leaves: of weeks and types, of no drive.
    "make_leaf": {A, C},
    "missing_leaves": {A, C},
    "leaf_table": {R, A, C},
    "type_table": {R, A, C},
    # Who the caller is.
    "acting_user": {R, A, C, S},
    "drives_with_access": {R, A, C, S},
    "sees_every_drive": {R, A, C, S},
    "may": {R, A, C, S},
    "visible_users": {R, A, C, S},
    "create_drive": {A},
    # Which drives one reads; refuses whoever it is asked for.
    "readable_drives": {R, A, C, S},
    "refuse_manifest": {R, A, C, S},
    # Judges the execution by drive; names, hashes and sizes of files are everybody's.
    "cold_files": {R, A, C, S},
    # Tells of an id that one knows whether it was deleted.
    "is_forgotten": {R, A, C},
    # The roll, which concerns every drive.
    "close_checkpoint": {C},
    "close_week": {C},
    "seal_week": {C},
    "mark_written": {C},
    "mark_verified": {C},
    "commit_week": {C},
    "drop_empty_leaves": {C},
    # Copies of rolled weeks, with events of every drive.
    "open_quarantine": {C},
    "close_quarantine": {C},
    "drop_quarantine": {C},
    "hot_weeks": {C},
    "week_leaves": {C},
    "adopt": {S},
    "prunable_executions": {C},
    "prune_executions": {C},
    # Retention: the archiver removes, and can't lift what stops him; a week holds events of every drive.
    "place_hold": {S},
    "lift_hold": {S},
    "removal_obstacles": {C},
    "remove_week": {C},
    "removed_segments_hash": {C},
    # Words for a row that the caller has.
    "removal_text": {R, A, C},
    # The condition of a trigger, judged with the rights of whoever deletes.
    "rebuilding": {R, A, C, S},
    # Computations and the ledger's own state.
    "assert_epoch": {R, A, C},
    "server_identity": {R, A, C},
    "week_of": {R, A, C},
    "uuidv7": {R, A, C},
    "leaf": {R, A, C},
    "canonical_text": {R, A, C},
}
"""Who may execute which function; all others are the owner's alone. The service is a member of the other three."""

FOR_EVERY_DRIVE = {"checkpoints", "feed_cursors", "forgotten_references", "budget_counts", "tree_leaves"}
"""Relations that the archiver and the service read, and no role that is for one drive."""
OF_NO_DRIVE = {
    *("ledger_state", "ledger_epochs", "state_rules", "model_pricing", "price_rules", "price_sources"),
    "price_reviews",
    *("model_pricing_history", "current_model_pricing"),
}
"""Relations that every role reads whole."""


def test_every_function_is_executed_by_whom_it_was_reviewed_for(world: World) -> None:
    rows = world.root.execute(
        "SELECT p.proname AS name, coalesce(array_agg(DISTINCT coalesce(r.rolname, 'PUBLIC'))"
        " FILTER (WHERE a.grantee IS DISTINCT FROM p.proowner), '{}')::text[] AS roles FROM pg_proc p"
        " CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
        " LEFT JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE p.pronamespace = 'ledger'::regnamespace AND p.prorettype <> 'trigger'::regtype GROUP BY 1"
    ).fetchall()
    assert {row["name"]: set(row["roles"]) for row in rows if row["roles"]} == REVIEWED


def test_no_trigger_function_is_anybodys(world: World) -> None:
    rows = world.root.execute(
        "SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'ledger'::regnamespace"
        " AND p.prorettype = 'trigger'::regtype"
        " AND has_function_privilege('ledger_application', p.oid, 'EXECUTE')"
    ).fetchall()
    assert rows == []


def test_definer_functions_look_for_temporary_objects_last(world: World) -> None:
    rows = world.root.execute(
        "SELECT p.oid::regprocedure::text AS proname, p.proconfig FROM pg_proc p WHERE p.prosecdef"
        " AND p.pronamespace IN ('ledger'::regnamespace, 'ledger_member'::regnamespace)"
    ).fetchall()
    paths = {row["proname"]: [c for c in row["proconfig"] or [] if c.startswith("search_path=")] for row in rows}
    assert rows
    assert {name for name, path in paths.items() if not path or not path[0].endswith(", pg_temp")} == set()


def test_everything_is_the_owners_who_has_no_login(world: World) -> None:
    rows = world.root.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace"
        " AND relowner <> 'ledger_owner'::regrole"
        " UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace"
        " AND proowner <> 'ledger_owner'::regrole"
        " UNION ALL SELECT rolname FROM pg_roles WHERE (rolcanlogin OR rolsuper OR rolbypassrls)"
        " AND rolname IN ('ledger_owner', 'ledger_member_owner', 'ledger_member', 'ledger_reader',"
        " 'ledger_application', 'ledger_archiver', 'ledger_service')"
    ).fetchall()
    assert rows == []


def test_views_run_with_the_rights_of_who_reads_them(world: World) -> None:
    rows = world.root.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('v', 'm')"
        " AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)"
    ).fetchall()
    assert rows == []


def test_nobody_has_a_right_on_a_partition(world: World) -> None:
    rows = world.root.execute(
        "SELECT relname FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a"
        " WHERE c.relnamespace = 'ledger'::regnamespace AND c.relispartition AND a.grantee <> c.relowner"
    ).fetchall()
    assert rows == []


def test_every_table_that_a_role_reads_is_judged_by_drive(world: World) -> None:
    rows = world.root.execute(
        "SELECT relname, relrowsecurity, has_table_privilege('ledger_reader', oid, 'SELECT')"
        " OR has_any_column_privilege('ledger_application', oid, 'SELECT') AS by_drive"
        " FROM pg_class WHERE relnamespace = 'ledger'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
    ).fetchall()
    open_tables = {row["relname"] for row in rows if row["by_drive"] and not row["relrowsecurity"]}
    assert open_tables <= OF_NO_DRIVE
    assert not FOR_EVERY_DRIVE & {row["relname"] for row in rows if row["by_drive"]}


def test_every_policy_for_users_asks_for_their_drives(world: World) -> None:
    rows = world.root.execute(
        "SELECT tablename, policyname, coalesce(qual, '') || coalesce(with_check, '') AS judged FROM pg_policies"
        " WHERE schemaname = 'ledger' AND roles && '{ledger_reader,ledger_application,public}'"
    ).fetchall()
    words = ("drives_with_access", "visible_users", "acting_user", "FROM ledger.workflow_", "FROM workflow_")
    words += ("refuse_manifest", "FROM budgets")
    assert rows
    assert [row for row in rows if not any(word in row["judged"] for word in words)] == []
