"""One document over HTTP: bounded in time and size, tried again where that helps, fetched anew only when it changed."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx2

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.sources.source import PriceCatalogue

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that another try may better."""
_OK, _NOT_MODIFIED = 200, 304
_LONGEST_WAIT = 30.0


class SourceUnreadable(LedgerError):
    """A price source that did not answer with a document; its last good prices stay."""

    code = "source_unreadable"


class _TryAgain(Exception):
    """A failure that may be gone in a moment; `after`: the seconds that the server asks for."""

    def __init__(self, what: str, after: float | None = None) -> None:
        super().__init__(what)
        self.after = after


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a source is asked, and how much is read of its answer.

    `connect`, `read` and `whole` are seconds: to connect, without any byte, and for one whole answer.
    """

    connect: float = 10.0
    read: float = 20.0
    whole: float = 120.0
    attempts: int = 4
    first_pause: float = 1.0
    most_bytes: int = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Copy:
    """The last good copy of a source's document."""

    url: str
    etag: str
    version: str
    body: bytes


class Web:
    """Reads documents and keeps a good copy of each in a folder, a file a source."""

    def __init__(
        self, folder: Path, patience: Patience | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._folder = folder
        self._patience = patience or Patience()
        self._sleep = sleep

    def read(
        self, source: str, url: str, now: datetime, catalogue_of: Callable[[bytes, str], PriceCatalogue]
    ) -> PriceCatalogue:
        """The catalogue of a source's document as it is now; the copy is kept once the catalogue is one.

        Raises LedgerError when it could not be fetched or read; the copy of before is then left as it was.
        """
        known = self._kept(source, url)
        fetched = self._fetch(url, known)
        catalogue = catalogue_of(fetched.body, fetched.version)
        if fetched is not known:
            self._keep(source, fetched, now)
        return catalogue

    def _fetch(self, url: str, known: Copy | None) -> Copy:
        pause = self._patience.first_pause
        timeout = httpx2.Timeout(self._patience.read, connect=self._patience.connect)
        with httpx2.Client(timeout=timeout, follow_redirects=True, max_redirects=3) as client:
            for attempt in range(1, self._patience.attempts + 1):
                try:
                    return self._once(client, url, known)
                except _TryAgain as failure:
                    if attempt == self._patience.attempts:
                        raise SourceUnreadable(f"{failure}, {attempt} times") from None
                    self._sleep(min(max(pause, failure.after or 0), _LONGEST_WAIT))
                    pause *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, client: httpx2.Client, url: str, known: Copy | None) -> Copy:
        headers = {"Accept": "application/json", "User-Agent": "ledger-pipeline"}
        if known and known.etag:
            headers["If-None-Match"] = known.etag
        deadline = time.monotonic() + self._patience.whole
        try:
            with client.stream("GET", url, headers=headers) as response:
                if response.status_code == _NOT_MODIFIED and known:
                    return known
                answered = f"answered {response.status_code} {response.reason_phrase}".rstrip()
                if response.status_code in _AGAIN:
                    raise _TryAgain(answered, _seconds(response.headers.get("Retry-After")))
                if response.status_code != _OK:
                    raise SourceUnreadable(answered)
                body = self._body(response, deadline)
                etag = response.headers.get("ETag", "")
        except httpx2.TimeoutException as error:
            raise _TryAgain(f"did not answer in time ({type(error).__name__})") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _TryAgain(f"the connection failed ({type(error).__name__}: {error})") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise SourceUnreadable(f"cannot be asked: {error}") from None
        return Copy(url, etag, etag.removeprefix("W/").strip('"') or hashlib.sha256(body).hexdigest()[:16], body)

    def _body(self, response: httpx2.Response, deadline: float) -> bytes:
        parts = bytearray()
        for part in response.iter_bytes():
            parts += part
            if len(parts) > self._patience.most_bytes:
                raise SourceUnreadable(f"the answer has more than {self._patience.most_bytes:,} bytes")
            if time.monotonic() > deadline:
                raise _TryAgain(f"the answer took more than {self._patience.whole:g} s")
        return bytes(parts)

    # Copies -------------------------------------------------------------------------------------------------------

    def _kept(self, source: str, url: str) -> Copy | None:
        """The last good copy, None where there is none of this URL or where it was damaged."""
        try:
            about, _, body = (self._folder / source).read_bytes().partition(b"\n")
            known = json.loads(about)
            if known["url"] != url or known["sha256"] != hashlib.sha256(body).hexdigest():
                return None
            return Copy(url, known["etag"], known["version"], body)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, source: str, copy: Copy, now: datetime) -> None:
        about = {
            "url": copy.url,
            "etag": copy.etag,
            "version": copy.version,
            "sha256": hashlib.sha256(copy.body).hexdigest(),
            "fetched_at": now.isoformat(),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=f".{source}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(about).encode() + b"\n" + copy.body)
            Path(name).replace(self._folder / source)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _seconds(text: str | None) -> float | None:
    """Seconds of a Retry-After; its other form, a date, is not worth a parser."""
    return float(text) if text and text.isascii() and text.isdigit() else None
