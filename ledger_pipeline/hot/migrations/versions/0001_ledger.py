"""The ledger: events, heads, projections, append, prices, cold storage."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

_SQL = Path(__file__).parent.parent / "sql"
_ROLES = ("ledger_owner", "ledger_reader", "ledger_application", "ledger_archiver", "ledger_service")


def upgrade() -> None:
    connection = op.get_bind()
    for role in _ROLES:
        # Roles belong to the server, not to the database: another ledger there may have made them.
        connection.exec_driver_sql(
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    connection.exec_driver_sql("GRANT ledger_owner TO CURRENT_USER")
    connection.exec_driver_sql("CREATE SCHEMA ledger AUTHORIZATION ledger_owner")
    connection.exec_driver_sql("SET LOCAL ROLE ledger_owner")
    connection.exec_driver_sql("SET LOCAL search_path = ledger")
    for path in sorted(_SQL.glob("0001_*.sql")):
        # Through the cursor: the text has percent signs and colons that are not parameters.
        connection.connection.cursor().execute(path.read_text().encode())
    connection.exec_driver_sql("RESET ROLE")
    connection.exec_driver_sql("SET LOCAL search_path = public")


def downgrade() -> None:
    connection = op.get_bind()
    events = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM ledger.execution_heads) OR EXISTS (SELECT FROM ledger.archive_manifest)"
    ).scalar()
    if events:
        raise RuntimeError("the downgrade would drop events: it is refused while the ledger holds any")
    # Kept by later downgrades; what reading the price catalogue entered may go.
    logged = connection.exec_driver_sql("SELECT to_regclass('ledger.admin_log') IS NOT NULL").scalar()
    if (
        logged
        and connection.exec_driver_sql(
            "SELECT EXISTS (SELECT FROM ledger.admin_log WHERE object_kind NOT IN ('price_sources', 'schema'))"
        ).scalar()
    ):
        raise RuntimeError("the downgrade would lose the administrators' log: it is refused while it has entries")
    connection.exec_driver_sql("DROP SCHEMA ledger CASCADE")
