"""The API on a free loopback port, asked over HTTP as its users ask it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2

from ledger_pipeline import Ledger
from ledger_pipeline.api.app import make_app
from ledger_pipeline.api.listening import listening, server
from ledger_pipeline.api.tokens import TokenFile
from ledger_pipeline.queries.as_json import plain_answer


def plain(answer: Any) -> Any:
    """An answer of `Queries` as JSON has it, numbers of free JSON as floats, which is how a reply is read here."""
    return json.loads(json.dumps(plain_answer(answer), default=float))


def error_of(reply: httpx2.Response) -> tuple[int, str, str]:
    """The status of a refusal, its code and its message, which are all that it says."""
    error = reply.json()["error"]
    assert set(error) == {"code", "message"}
    return reply.status_code, error["code"], error["message"]


@dataclass
class Served:
    """A running API."""

    url: str
    ledger: Ledger
    tokens: TokenFile
    tokens_path: Path
    resources: ExitStack

    def client(self, token: str | None) -> httpx2.Client:
        """Asks with a token; closed when the API ends."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.resources.enter_context(
            httpx2.Client(base_url=self.url, headers=headers, timeout=120, trust_env=False)
        )

    def holder(self, name: str, user: UUID | None = None, expires: datetime | None = None) -> httpx2.Client:
        """Asks with a new token, of a user or of the service."""
        return self.client(self.tokens.add(name, user, datetime.now(UTC), expires))


@contextmanager
def serving(
    ledger: Ledger, tokens_path: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Served]:
    """A running API on a ledger; it has ended after the block."""
    tokens = TokenFile(tokens_path)
    with listening("127.0.0.1", 0) as listener, ExitStack() as resources:
        running = server(make_app(ledger, tokens, clock))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            # The changes come from another object than the one that serves, as from another process.
            yield Served(url, ledger, TokenFile(tokens_path), tokens_path, resources)
        finally:
            resources.close()
            running.should_exit = True
            thread.join(60)
            assert not thread.is_alive()
