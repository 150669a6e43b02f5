"""Append judges payloads where they are parsed: functions of the same signatures, nothing stored changes."""

from alembic import op

from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner, functions_of

revision = "0004"
down_revision = "0003"

_BEFORE = SQL_FOLDER / "0003_10_append.sql"
_CHANGED = SQL_FOLDER / "0004_10_append.sql"


def upgrade() -> None:
    as_owner(op.get_bind(), [_CHANGED.read_text()])


def downgrade() -> None:
    before = functions_of(_BEFORE.read_text())
    as_owner(op.get_bind(), [before[name] for name in functions_of(_CHANGED.read_text())])
