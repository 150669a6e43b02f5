"""Operations: people, drives, workflow definitions, permissions, the store's queries."""

from alembic import op

from ledger_pipeline.hot.downgrade import refuse_loss
from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner, replaced

revision = "0002"
down_revision = "0001"

_APPEND_BACK = SQL_FOLDER / "0002_10_append.down.sql"


def upgrade() -> None:
    files = sorted(path for path in SQL_FOLDER.glob("0002_*.sql") if not path.name.endswith(".down.sql"))
    as_owner(op.get_bind(), [path.read_text() for path in files])


def downgrade() -> None:
    before = [SQL_FOLDER / name for name in ("0001_40_append.sql", "0001_45_project.sql")]
    texts = [
        replaced(SQL_FOLDER / "0002_10_append.sql", *before, path) if path == _APPEND_BACK else path.read_text()
        for path in sorted(SQL_FOLDER.glob("0002_*.down.sql"), reverse=True)
    ]
    refuse_loss(op.get_bind(), lambda: as_owner(op.get_bind(), texts))
    as_owner(op.get_bind(), texts)
