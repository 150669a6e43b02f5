"""Lets one process at a time do something; the kernel drops the lock when the process ends, however it ends."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ledger_pipeline.errors import InvalidInput


@contextmanager
def only_one(lock: Path, otherwise: str) -> Generator[None]:
    """Holds the lock file during the block; raises InvalidInput with the message `otherwise` when another has it."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(otherwise) from None
        yield
    finally:
        os.close(descriptor)
