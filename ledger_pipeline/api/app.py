"""The HTTP application on an open ledger."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ledger_pipeline.api.answers import ask, once
from ledger_pipeline.api.authentication import Authentication
from ledger_pipeline.api.bodies import parameters_of
from ledger_pipeline.api.replies import HANDLERS, reply
from ledger_pipeline.api.sessions import session_of
from ledger_pipeline.api.tokens import Caller, TokenFile
from ledger_pipeline.arguments import whole_or_none
from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.errors import InvalidInput, NotFound, PermissionDenied, SchemaMismatch
from ledger_pipeline.hot.revision import REVISION, check, current_revision
from ledger_pipeline.ledger import Ledger, set_up
from ledger_pipeline.queries.answers import Queries
from ledger_pipeline.queries.as_json import plain_answer

_CLEAN_UP = {"action": "action", "daysToKeep": "days_to_keep", "days_to_keep": "days_to_keep"}


def make_app(ledger: Ledger, tokens: TokenFile, clock: Callable[[], datetime]) -> Starlette:
    """The application; whatever waits for the database or for files does so in a thread of Starlette's pool."""
    served = _Served(ledger, clock)
    app = Starlette(
        routes=[
            Route("/api/workflow", served.workflow, methods=["GET", "POST"]),
            Route("/api/setup/workflow-tables", served.tables, methods=["GET", "POST"]),
            Route("/api/health", served.health),
        ],
        middleware=[Middleware(Authentication, tokens=tokens, clock=clock)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    return app


class _Served:
    """The endpoints."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._cleaning = threading.Lock()

    async def workflow(self, request: Request) -> Response:
        """GET answers, POST cleans up."""
        caller: Caller = request.scope["caller"]
        if request.method != "POST":
            return await run_in_threadpool(self._answer, caller, request.query_params.multi_items())
        given = once(await parameters_of(request), _CLEAN_UP, "POST /api/workflow")
        return await run_in_threadpool(self._clean_up, caller, given)

    def tables(self, request: Request) -> Response:
        """GET migrates the database, POST only says whether it is at this version's schema."""
        caller: Caller = request.scope["caller"]
        _only_service(caller, "the migration")
        _nothing_given(request)
        url, problem = self._ledger.url, None
        if request.method == "GET":
            set_up(url, self._clock())
        revision = current_revision(url)
        try:
            check(url)
        except SchemaMismatch as error:
            problem = str(error)
        found = {"revision": revision, "expected_revision": REVISION, "up_to_date": problem is None}
        return reply({**found, "problem": problem})

    def health(self, request: Request) -> Response:
        """Whether the database answers this caller."""
        _nothing_given(request)
        with session_of(self._ledger.url, request.scope["caller"]):
            return reply({"status": "ok"})

    def _answer(self, caller: Caller, parameters: list[tuple[str, str]]) -> Response:
        queries = Queries(self._ledger.settings, lambda: session_of(self._ledger.url, caller))
        return reply(plain_answer(ask(queries, parameters, caller.user)))

    def _clean_up(self, caller: Caller, given: dict[str, Any]) -> Response:
        """Rolls what is older than the days to keep, then prunes what ended before them and is in the marts."""
        _only_service(caller, "the clean-up")
        if given.get("action") != "cleanup":
            raise InvalidInput(f"action: is {str(given.get('action'))[:80]!r}; allowed: 'cleanup'")
        days = whole_or_none("days_to_keep", given.get("days_to_keep"))
        days = self._ledger.settings.hot_days if days is None else days
        with session_of(self._ledger.url, caller):
            pass  # or it is refused
        if not self._cleaning.acquire(blocking=False):
            raise Held("another clean-up is under way in this API: wait for its end")
        try:
            now = self._clock()
            rolled = self._ledger.roll(now, keep_days=days)
            try:
                pruned, reason = self._ledger.prune(now, days), None
            except (NotFound, InvalidInput) as error:
                # The marts, which keep what is pruned, are not there or not current.
                pruned, reason = None, str(error)
        finally:
            self._cleaning.release()
        return reply(plain_answer({"days_to_keep": days, "rolled": rolled, "pruned": pruned, "not_pruned": reason}))


def _only_service(caller: Caller, what: str) -> None:
    if caller.user is not None:
        raise PermissionDenied(f"{what} covers every drive: it is for tokens of the service")


def _nothing_given(request: Request) -> None:
    once(request.query_params.multi_items(), {}, request.url.path)
