"""Progress of long work in the run's log, at a pace that a reader and the log's storage can follow."""

import logging
import time
from collections.abc import Callable

SECONDS_BETWEEN = 2.0


def paced(log: logging.Logger, seconds: float = SECONDS_BETWEEN) -> Callable[[str], None]:
    """A function that logs what it is told, and drops what comes sooner than `seconds` after the last line."""
    last = float("-inf")

    def say(message: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            log.info(message)

    return say
