"""Who holds which token: a file, its owner's alone, with each token's SHA-256 and never a token."""

import fcntl
import hashlib
import json
import logging
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ledger_pipeline.arguments import shown
from ledger_pipeline.durable import durable_file
from ledger_pipeline.errors import InvalidInput, NotFound

TOKEN_BYTES = 32
"""Random bytes of a token: nobody guesses one, so its plain SHA-256 tells nothing of it."""
PREFIX = "ledger_"
"""Lets people and scanners of leaked secrets see what a string is."""
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_Seen = tuple[int, ...] | None

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Whom a request is answered for: a user of the ledger, or (None) the service, which reads every drive."""

    token_name: str
    user: UUID | None


class Token(BaseModel):
    """What is kept of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=_NAME)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    acts_for: Literal["service"] | UUID
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    def holds_at(self, now: datetime) -> bool:
        """Whether the token has not expired."""
        return self.expires_at is None or now < self.expires_at


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tokens: tuple[Token, ...]


class TokenFile:
    """The file of tokens; a change of it counts from the next request on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Seen = None
        self._by_hash: dict[str, Token] = {}

    def tokens(self) -> tuple[Token, ...]:
        """The tokens, none where there is no file; raises InvalidInput for one that is damaged or others may read."""
        return self._read()[1]

    def add(self, name: str, acts_for: UUID | None, now: datetime, expires_at: datetime | None = None) -> str:
        """Makes a token for a user, or (None) the service, and answers it: it is told this once and kept nowhere.

        Raises InvalidInput for a name that is taken or can't be one, and for an expiry that has passed.
        """
        if expires_at is not None and expires_at <= now:
            raise InvalidInput(f"expires: is {expires_at.isoformat()}; allowed: a time that is still to come")
        token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
        try:
            made = Token(
                name=name,
                sha256=_hash(token.encode()),
                acts_for=acts_for or "service",
                created_at=now,
                expires_at=expires_at,
            )
        except ValidationError:
            raise InvalidInput(
                f"name: is {shown(name)}; allowed: up to 64 letters, digits, `.`, `_` and `-`, a letter or digit first"
            ) from None
        with self._changing():
            tokens = self.tokens()
            if any(token.name == name for token in tokens):
                raise InvalidInput(f"name: {name} is taken already; allowed: one that no token has")
            self._write([*tokens, made])
        return token

    def remove(self, name: str) -> None:
        """Takes a token away, at once for servers that run; raises NotFound for a name that no token has."""
        with self._changing():
            tokens = self.tokens()
            kept = [token for token in tokens if token.name != name]
            if len(kept) == len(tokens):
                raise NotFound(f"name: no token is called {shown(name)}: `ledger-pipeline api token list` names them")
            self._write(kept)

    def caller(self, token: bytes, now: datetime) -> Caller | None:
        """Whom a token names; None for one that isn't there or has expired, and while the file can't be relied on."""
        self._look_again()
        # Looked up by its hash, no digit of which a caller chooses: the time it takes tells nothing of the others.
        found = self._by_hash.get(_hash(token))
        if found is None or not found.holds_at(now):
            return None
        return Caller(found.name, None if found.acts_for == "service" else found.acts_for)

    def _look_again(self) -> None:
        try:
            seen = _signature(self._path.stat())
        except OSError:
            seen = None
        if seen == self._seen:
            return
        # Whatever happens now, no token counts that this file doesn't hold.
        self._by_hash, self._seen = {}, seen
        try:
            self._seen, tokens = self._read()
        except InvalidInput as error:
            logger.error("no token counts: %s", error)
            return
        self._by_hash = {token.sha256: token for token in tokens}

    def _read(self) -> tuple[_Seen, tuple[Token, ...]]:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_mode & 0o077:
                    raise InvalidInput(f"{self._path}: others may read or change it: `chmod 600` it")
                return _signature(status), _Kept.model_validate_json(file.read()).tokens
        except FileNotFoundError:
            return None, ()
        except OSError as error:
            raise InvalidInput(f"{self._path}: can't be read ({error.strerror})") from None
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"])) or "it"
            raise InvalidInput(f"{self._path}: is no file of tokens: {where}: {fault['msg']}") from None

    def _write(self, tokens: Iterable[Token]) -> None:
        content = {"tokens": [token.model_dump(mode="json") for token in tokens]}
        with durable_file(self._path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(content, indent=2).encode() + b"\n")

    @contextmanager
    def _changing(self) -> Generator[None]:
        """One process at a time changes the file."""
        for folder in (*reversed(self._path.parent.parents), self._path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)  # one by one: `parents=True` would leave a new home open to others
        descriptor = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _hash(token: bytes) -> str:
    return hashlib.sha256(token).hexdigest()


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns, status.st_ctime_ns
