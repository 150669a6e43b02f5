"""Prices and budgets: budgets, an administrator's prices, re-pricing; appends name their operator truly."""

from alembic import op

from ledger_pipeline.hot.downgrade import refuse_loss
from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner, replaced

revision = "0003"
down_revision = "0002"

_BEFORE = SQL_FOLDER / "0002_10_append.sql"
_APPEND = SQL_FOLDER / "0003_10_append.sql"


def upgrade() -> None:
    files = sorted(path for path in SQL_FOLDER.glob("0003_*.sql") if not path.name.endswith(".down.sql"))
    texts = [replaced(_BEFORE, path) if path == _APPEND else path.read_text() for path in files]
    as_owner(op.get_bind(), texts)


def downgrade() -> None:
    texts = [path.read_text() for path in sorted(SQL_FOLDER.glob("0003_*.down.sql"), reverse=True)]
    texts.append(replaced(_APPEND, _BEFORE))
    refuse_loss(op.get_bind(), lambda: as_owner(op.get_bind(), texts))
    as_owner(op.get_bind(), texts)
