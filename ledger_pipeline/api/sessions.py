"""The session of an answer: the service's reads every drive, a user's is held to his drives by the database itself."""

from typing import LiteralString

from ledger_pipeline.api.tokens import Caller
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.hot.acting import act_for
from ledger_pipeline.hot.database import Connection, connect, translated

_READS_EVERY_DRIVE = "SELECT readable_drives() IS NULL AS every"
_CAN_BE_HELD = """
SELECT pg_has_role(session_user, 'ledger_application', 'USAGE')
    AND row_security_active('ledger.workflow_events')
    AND readable_drives() IS NOT NULL
    AND acting_user() IS NULL AS held
"""


def session_of(url: str, caller: Caller) -> Connection:
    """An autocommitting session that answers for the caller.

    Raises PermissionDenied for a token that the connection's login can't be asked with, or whose user isn't there.
    """
    session = connect(url, autocommit=True)
    try:
        with translated():
            every = _is(session, _READS_EVERY_DRIVE)
            if caller.user is not None:
                _hold(session, caller)
            elif not every:
                raise PermissionDenied(
                    f"token {caller.token_name}: is the service's, and this API's login reads one user's drives: serve "
                    "it with a login of ledger_service"
                )
    except BaseException:
        session.close()
        raise
    return session


def _hold(session: Connection, caller: Caller) -> None:
    """Lets the session read for one user alone."""
    if session.info.parameter_status("is_superuser") == "on":
        # A superuser would be shown every row: from here on the policies, and the functions that ask for the login,
        # judge this session as one of the application's.
        session.execute("SET SESSION AUTHORIZATION ledger_application")
    if not _is(session, _CAN_BE_HELD):
        raise PermissionDenied(
            f"token {caller.token_name}: is a user's, and this API's login can't be held to one user's drives: serve "
            "it with a login of ledger_application that is mapped to no user, or on the embedded server"
        )
    act_for(session, caller.user)
    row = session.execute("SELECT acting_user() AS acting").fetchone()
    if row is None or row["acting"] != caller.user:
        raise PermissionDenied(f"token {caller.token_name}: its user {caller.user} is not in this ledger")


def _is(session: Connection, question: LiteralString) -> bool:
    row = session.execute(question).fetchone()
    return bool(row and next(iter(row.values())))
