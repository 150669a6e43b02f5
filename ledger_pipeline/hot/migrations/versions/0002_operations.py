"""Operations: people, drives, workflow definitions, permissions, the store's queries."""

from pathlib import Path

from alembic import op

from ledger_pipeline.hot.downgrade import refuse_loss

revision = "0002"
down_revision = "0001"

_SQL = Path(__file__).parent.parent / "sql"
_UP = sorted(path for path in _SQL.glob("0002_*.sql") if not path.name.endswith(".down.sql"))
_DOWN = sorted(_SQL.glob("0002_*.down.sql"), reverse=True)


def upgrade() -> None:
    _run(_UP)


def downgrade() -> None:
    refuse_loss(op.get_bind(), lambda: _run(_DOWN))
    _run(_DOWN)


def _run(paths: list[Path]) -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("SET LOCAL ROLE ledger_owner")
    connection.exec_driver_sql("SET LOCAL search_path = ledger")
    for path in paths:
        # Through the cursor: the text has percent signs and colons that are not parameters.
        connection.connection.cursor().execute(path.read_text().encode())
    connection.exec_driver_sql("RESET ROLE")
    connection.exec_driver_sql("SET LOCAL search_path = public")
