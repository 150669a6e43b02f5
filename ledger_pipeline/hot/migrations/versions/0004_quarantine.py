"""Rolled weeks can be restored for inspection; append judges payloads where they are parsed."""

from alembic import op

from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner, functions_of

revision = "0004"
down_revision = "0003"

_BEFORE = SQL_FOLDER / "0003_10_append.sql"
_APPEND = SQL_FOLDER / "0004_10_append.sql"
_QUARANTINE = SQL_FOLDER / "0004_20_quarantine.sql"


def upgrade() -> None:
    op.get_bind().exec_driver_sql("CREATE SCHEMA ledger_quarantine AUTHORIZATION ledger_owner")
    as_owner(op.get_bind(), [_APPEND.read_text(), _QUARANTINE.read_text()])


def downgrade() -> None:
    before = functions_of(_BEFORE.read_text())
    texts = [before[name] for name in functions_of(_APPEND.read_text())]
    as_owner(op.get_bind(), [*texts, _QUARANTINE.with_suffix(".down.sql").read_text()])
    # What it holds are copies of cold files.
    op.get_bind().exec_driver_sql("DROP SCHEMA ledger_quarantine CASCADE")
