"""Who holds the ledger up: the sessions behind a lock or an old transaction, named for an error message."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from ledger_pipeline.errors import InvalidInput, LedgerError
from ledger_pipeline.hot.database import Connection

LOCK_CLASS = 19524
UNSEEN = "a session that has just ended, or that this role may not see"
SEAL_LOCK, CHECKPOINT_LOCK, ROLL_LOCK = 2000, 2001, 2003
"""Advisory locks of the ledger, all of class `LOCK_CLASS`; 0 to 1023 are the stripes of executions."""


class Held(LedgerError):
    """Something did not become free in time; the message names the session that holds it."""

    code = "held"


@contextmanager
def own_transactions(connection: Connection) -> Generator[None]:
    """Lets the block begin and commit by itself; the connection must be outside a transaction."""
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise InvalidInput("this commits by itself: give it a connection outside a transaction")
    autocommit, connection.autocommit = connection.autocommit, True
    try:
        yield
    finally:
        if not connection.closed:
            connection.autocommit = autocommit


def full_conninfo(connection: Connection) -> str:
    """Connection string that opens another session like this one, password included: never print it."""
    parameters = connection.info.get_parameters()
    if connection.info.password:
        parameters["password"] = connection.info.password
    return make_conninfo(**parameters)


@contextmanager
def sole(
    connection: Connection, lock: int, under_way: str, otherwise: str = "try again", wait_seconds: float = 0.0
) -> Generator[None]:
    """Holds a lock of the ledger: one process at a time does what it is for. A session may take it again inside itself.

    Raises Held when another session keeps it for longer than that; `under_way` says what it does, up to its name.
    """
    key = (LOCK_CLASS, lock)
    deadline = time.monotonic() + wait_seconds
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s, %s) AS got", key).fetchone()
        if row and row["got"]:
            break
        if time.monotonic() >= deadline:
            raise Held(f"{under_way} {sessions_holding(connection, lock)}: {otherwise}")
        time.sleep(0.1)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)


T = TypeVar("T")


def retry_while_locked(attempt: Callable[[], T], wait_seconds: float, on_failure: Callable[[], str]) -> T:
    """Repeats what fails on a lock's time-out or a deadlock; raises Held with `on_failure`'s words in the end."""
    deadline = time.monotonic() + wait_seconds
    pause = 0.05
    while True:
        try:
            return attempt()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() + pause > deadline:
                raise Held(on_failure()) from None
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def sessions_holding(connection: Connection, objid: int | None) -> str:
    """The sessions that hold an advisory lock of the ledger, or (None) the manifest, or event tables for long."""
    rows = connection.execute(
        """
        SELECT DISTINCT a.pid, a.application_name, a.datname,
               extract(epoch FROM clock_timestamp() - a.xact_start)::bigint AS age
        FROM pg_locks l
        JOIN pg_stat_activity a ON a.pid = l.pid
        JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        LEFT JOIN pg_class c ON c.oid = l.relation AND l.locktype = 'relation'
        WHERE l.granted AND a.pid <> pg_backend_pid()
            AND (
                l.locktype = 'advisory' AND l.objsubid = 2 AND l.classid = %(class)s AND l.objid = %(objid)s
                OR %(objid)s::bigint IS NULL AND c.relnamespace = 'ledger'::regnamespace
                AND (c.relname = 'archive_manifest' OR c.relname LIKE '%%\\_events%%')
            )
        ORDER BY age DESC NULLS LAST
        """,
        {"class": LOCK_CLASS, "objid": objid},
    ).fetchall()
    return _in_words(rows)


def _in_words(rows: list[dict[str, object]]) -> str:
    """The oldest few sessions."""
    if not rows:
        return UNSEEN
    return ", ".join(
        f"session {row['pid']} ({row['application_name'] or 'no application name'}, database {row['datname']}, "
        f"in its transaction for {row['age'] or 0} s)"
        for row in rows[:3]
    )
