"""What keeps the record: retention and legal holds, the ends of epochs."""

from alembic import op

from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner

revision = "0006"
down_revision = "0005"

_PARTS: tuple[str, ...] = ("0006_30_retention",)


def upgrade() -> None:
    as_owner(op.get_bind(), [(SQL_FOLDER / f"{part}.sql").read_text() for part in _PARTS])


def downgrade() -> None:
    as_owner(op.get_bind(), [(SQL_FOLDER / f"{part}.down.sql").read_text() for part in reversed(_PARTS)])
