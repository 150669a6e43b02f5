"""A writer of the race tests, a process of its own: `python -m ledger_pipeline_tests.hot.racing_writer URL NAME IDS N`.

It appends N times to executions of the file IDS, each append under a key of its own, and again under the same key
when it doesn't know whether it came through. Started anew under its name it sends the same requests.
"""

import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from ledger_pipeline.errors import ServerUnavailable
from ledger_pipeline.events import LogRecorded
from ledger_pipeline.hot.append import append
from ledger_pipeline.hot.database import Connection, connect

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def messages(name: str, nth: int) -> list[str]:
    """What the nth append of a writer records, an event each."""
    return [f"{name}/{nth}/{part}" for part in range(1 + nth % 3)]


def write(url: str, name: str, ids: list[UUID], appends: int) -> None:
    """Tells each append that came through on stdout."""
    choose = random.Random(name)
    connection: Connection | None = None
    for nth in range(appends):
        execution_id = choose.choice(ids)
        events = [LogRecorded(occurred_at=AT, log_level="info", message=text) for text in messages(name, nth)]
        while True:
            try:
                connection = connection or connect(url, autocommit=True)
                append(connection, execution_id, events, idempotency_key=f"{name}/{nth}")
                break
            except ServerUnavailable:
                connection = None
        print(nth, flush=True)


if __name__ == "__main__":
    url, name, ids, appends = sys.argv[1:]
    write(url, name, [UUID(line) for line in Path(ids).read_text().split()], int(appends))
