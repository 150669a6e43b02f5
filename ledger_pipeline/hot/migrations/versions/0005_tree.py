"""One tree of checkpoints, committed weeks and epochs, whose root signed notes bear witness to."""

from alembic import op

from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    as_owner(op.get_bind(), [(SQL_FOLDER / "0005_10_tree.sql").read_text()])


def downgrade() -> None:
    as_owner(op.get_bind(), [(SQL_FOLDER / "0005_10_tree.down.sql").read_text()])
