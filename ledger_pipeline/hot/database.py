"""Connections to the hot store, and its errors as the ledger's own."""

import re
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from ledger_pipeline.errors import (
    AppendRefused,
    DeletionRefused,
    EpochMismatch,
    IdempotencyConflict,
    InvalidIdentifier,
    InvalidInput,
    InvalidReference,
    InvalidTime,
    InvalidTransition,
    LedgerError,
    PermissionDenied,
    SchemaMismatch,
    SequenceConflict,
    ServerUnavailable,
)

type_of_state: dict[str, type[LedgerError]] = {
    "LG001": AppendRefused,
    "LG002": SequenceConflict,
    "LG003": IdempotencyConflict,
    "LG004": EpochMismatch,
    "LG005": LedgerError,
    "LG006": DeletionRefused,
    "LG007": PermissionDenied,
    "LG008": InvalidTransition,
    "LG009": InvalidReference,
    "LG010": InvalidInput,
    "LG011": InvalidTime,
    "LG012": InvalidIdentifier,
}
"""SQLSTATEs that our own functions raise."""

_KEY = re.compile(r"^Key \((.*?)\)=\((.*)\) ")
_COPIED = re.compile(r"^COPY append_staging, line \d+, column (\w+)", re.MULTILINE)

Connection = psycopg.Connection[DictRow]


def connect(url: str, *, autocommit: bool = False) -> Connection:
    """A connection with dict rows, our schema on the search path and UTC; raises ServerUnavailable without the URL."""
    try:
        connection = Connection.connect(
            url,
            autocommit=autocommit,
            row_factory=dict_row,
            connect_timeout=10,
            application_name="ledger-pipeline",
            options="-c search_path=ledger,public -c timezone=UTC -c datestyle=ISO -c jit=off",
        )
    except psycopg.ProgrammingError:
        raise ServerUnavailable(
            "LEDGER_DATABASE_URL is not a PostgreSQL URL: expected postgresql://user@host:5432/name"
        ) from None
    except psycopg.OperationalError as error:
        raise ServerUnavailable(f"cannot connect to the database: {first_line(error)}") from None
    return connection


def connect_like(connection: Connection) -> Connection:
    """Another autocommitting connection to the same database as the same role, acting for the same user."""
    info = connection.info
    password = {"password": info.password} if info.password else {}
    other = connect(make_conninfo(info.dsn, **password), autocommit=True)
    row = connection.execute("SELECT current_setting('ledger.user_id', true) AS user_id").fetchone()
    if row and row["user_id"]:
        other.execute("SELECT set_config('ledger.user_id', %s, false)", (row["user_id"],))
    return other


def first_line(error: BaseException) -> str:
    """The first line of a database error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def translate(error: psycopg.Error) -> LedgerError | None:
    """The ledger's own error for what the database refused; None for what isn't the caller's doing."""
    state = error.sqlstate or ""
    if state in type_of_state:
        return type_of_state[state](first_line(error))
    match error:
        case psycopg.errors.UndefinedTable() | psycopg.errors.UndefinedFunction() | psycopg.errors.InvalidSchemaName():
            return SchemaMismatch(f"{first_line(error)}: run `ledger-pipeline migrate`")
        case psycopg.errors.ForeignKeyViolation() if first_line(error).startswith("update or delete"):
            return DeletionRefused(f"{_key(error)} is still named in {error.diag.table_name}: delete that first")
        case psycopg.errors.ForeignKeyViolation():
            return InvalidReference(f"{_key(error)} is not known; allowed: one that the ledger has")
        case psycopg.errors.UniqueViolation():
            return InvalidReference(f"{_key(error)} is taken already; allowed: one that is not")
        case psycopg.errors.CheckViolation() if "no partition of relation" in str(error):
            return AppendRefused(f"{error.diag.message_detail}: the week has no table; run `ledger-pipeline migrate`")
        case psycopg.errors.IntegrityError():
            return AppendRefused(f"{first_line(error)} (column {error.diag.column_name or error.diag.constraint_name})")
        case psycopg.errors.DataError() | psycopg.errors.FeatureNotSupported():
            copied = _COPIED.search(error.diag.context or "")
            return InvalidInput(f"{copied[1]}: {first_line(error)}" if copied else first_line(error))
        case psycopg.errors.InsufficientPrivilege():
            return PermissionDenied(first_line(error))
        case psycopg.OperationalError() if state[:4] == "57P0" or (
            not state and not isinstance(error, psycopg.errors.QueryCanceled)
        ):
            return ServerUnavailable(f"the connection to the database broke: {first_line(error)}")
        case _:
            return None


def _key(error: psycopg.Error) -> str:
    """The columns of the key that a constraint is about, and the value where the role may see it."""
    named = _KEY.search(error.diag.message_detail or "")
    if named:
        return f"{named[1]}: {named[2]}"
    table, constraint = error.diag.table_name or "", error.diag.constraint_name or "a key"
    return f"{constraint.removeprefix(f'{table}_').removesuffix('_fkey').removesuffix('_key')}: what was given"


@contextmanager
def translated() -> Generator[None]:
    """Raises the ledger's own errors for what the database refuses inside the block."""
    try:
        yield
    except psycopg.Error as error:
        own = translate(error)
        if own is None:
            raise
        raise own from error
