"""A role for people who ask in SQL of their own: rows of their drives, and no condition that reaches others'."""

from alembic import op

from ledger_pipeline.hot.migration_steps import SQL_FOLDER

revision = "0007"
down_revision = "0006"

_OWNER = "ledger_member_owner"


def upgrade() -> None:
    connection = op.get_bind()
    for role in ("ledger_member", _OWNER):
        # Roles belong to the server, not to the database: another ledger there may have made them.
        connection.exec_driver_sql(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    connection.exec_driver_sql(f"GRANT {_OWNER} TO CURRENT_USER")
    connection.exec_driver_sql(
        "DO $$ BEGIN"
        f"  IF NOT pg_has_role('{_OWNER}', 'ledger_reader', 'MEMBER') THEN GRANT ledger_reader TO {_OWNER}; END IF;"
        " EXCEPTION WHEN unique_violation THEN NULL; END $$"
    )
    connection.exec_driver_sql(f"CREATE SCHEMA ledger_member AUTHORIZATION {_OWNER}")
    connection.exec_driver_sql(f"SET LOCAL ROLE {_OWNER}")
    connection.connection.cursor().execute((SQL_FOLDER / "0007_10_members.sql").read_bytes())
    connection.exec_driver_sql("RESET ROLE")


def downgrade() -> None:
    op.get_bind().exec_driver_sql("DROP SCHEMA ledger_member CASCADE")
