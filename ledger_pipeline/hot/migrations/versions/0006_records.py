"""What keeps the record: a short way for single appends, retention and legal holds, the ends of epochs."""

from alembic import op

from ledger_pipeline.hot.migration_steps import SQL_FOLDER, as_owner, functions_of

revision = "0006"
down_revision = "0005"

_BEFORE = ("0003_10_append.sql", "0004_10_append.sql")
_APPEND = SQL_FOLDER / "0006_10_append.sql"
_PARTS: tuple[str, ...] = ()


def upgrade() -> None:
    as_owner(op.get_bind(), [_APPEND.read_text(), *((SQL_FOLDER / f"{part}.sql").read_text() for part in _PARTS)])


def downgrade() -> None:
    before: dict[str, str] = {}
    for name in _BEFORE:
        before |= functions_of((SQL_FOLDER / name).read_text())
    changed = functions_of(_APPEND.read_text())
    texts = [(SQL_FOLDER / f"{part}.down.sql").read_text() for part in reversed(_PARTS)]
    texts += [before[name] for name in changed if name in before]
    texts += [f"DROP FUNCTION {name};" for name in changed if name not in before]
    as_owner(op.get_bind(), texts)
