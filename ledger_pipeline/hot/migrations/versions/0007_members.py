"""A role for people who ask in SQL of their own: rows of their drives, and no condition that reaches others'."""

from alembic import op

from ledger_pipeline.hot.migration_steps import MEMBERS_OWNER, drop_member_views, make_member_views

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    connection = op.get_bind()
    for role in ("ledger_member", MEMBERS_OWNER):
        # Roles belong to the server, not to the database: another ledger there may have made them.
        connection.exec_driver_sql(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    for role, member, name in (
        ("ledger_reader", MEMBERS_OWNER, f"'{MEMBERS_OWNER}'"),
        (MEMBERS_OWNER, "CURRENT_USER", "CURRENT_USER"),
    ):
        # Or given: whoever is no superuser may then have no right to give it again.
        connection.exec_driver_sql(
            f"DO $$ BEGIN IF NOT pg_has_role({name}, '{role}', 'MEMBER') THEN GRANT {role} TO {member}; END IF;"
            " EXCEPTION WHEN unique_violation THEN NULL; END $$"
        )
    make_member_views(connection)


def downgrade() -> None:
    drop_member_views(op.get_bind())
