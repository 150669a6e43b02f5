"""Lets in who brings a token, before anything else of a request is looked at, and logs who asked for what."""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ledger_pipeline.api.replies import refusal
from ledger_pipeline.api.tokens import Caller, TokenFile

logger = logging.getLogger(__name__)


class Authentication:
    """ASGI middleware: 401 without a token that counts; otherwise its holder is the scope's `caller`."""

    def __init__(self, app: ASGIApp, tokens: TokenFile, clock: Callable[[], datetime]) -> None:
        self._app = app
        self._tokens = tokens
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or hands on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        began, status = time.monotonic(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if caller is None:
                challenge = {"WWW-Authenticate": 'Bearer realm="ledger"'}
                message = "a token is needed: `Authorization: Bearer TOKEN`, with one that is known and has not expired"
                await refusal(401, "unauthenticated", message, challenge)(scope, receive, noting)
            else:
                await self._app({**scope, "caller": caller}, receive, noting)
        finally:
            # The path as it was sent, without the query: neither line breaks nor what a caller put into it by mistake.
            path = scope.get("raw_path", b"").decode("ascii", "replace")
            who, took = caller.token_name if caller else "nobody", (time.monotonic() - began) * 1000
            logger.info("%s %s: %d, %.0f ms, %s", scope.get("method"), path, status, took, who)

    def _caller(self, scope: Scope) -> Caller | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return None
        scheme, _, token = given[0].partition(b" ")
        return self._tokens.caller(token.strip(), self._clock()) if scheme.lower() == b"bearer" else None
