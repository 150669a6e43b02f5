"""`eventsourcing` at work, by the Python of `.venv-bench`: `peer_eventsourcing.py append SECONDS | tail | read N`.

It is configured by its own environment variables, and used as its documentation does: an aggregate of one event more
a save; a consumer that selects notifications behind the last one it saw.
"""

import select
import sys
import time
from pathlib import Path
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.processes import say, say_ready, work

_LIMIT = 1_000


class Log(Aggregate):
    """What a writer appends to."""

    @event("Noted")
    def note(self, message: str, details: dict[str, int]) -> None:
        """One event."""
        self.last = message


def append(app: Application[UUID], seconds: float) -> None:
    """One save of one event after the other."""
    log = Log()
    app.save(log)

    def step(nth: int) -> None:
        log.note(message=f"note {nth} of {log.id}", details={"n": nth})
        app.save(log)

    work(step, seconds)


def tail(app: Application[UUID]) -> None:
    """Follows the notifications until it is told to stop, then once more to the end."""
    seen = 0
    last: int | None = None
    say_ready()
    while True:
        stop = bool(select.select([sys.stdin], [], [], 0)[0])
        while notes := app.recorder.select_notifications(last, _LIMIT, inclusive_of_start=False):
            seen += len(notes)
            last = notes[-1].id
        if stop:
            break
        time.sleep(0.01)
    stored, place = 0, 0
    while notes := app.recorder.select_notifications(place, _LIMIT, inclusive_of_start=False):
        stored += len(notes)
        place = notes[-1].id
    say({"seen": seen, "stored": stored})


def read(app: Application[UUID], events: int) -> None:
    """Seconds that it takes to read the events of a long aggregate, the least of five."""
    log = Log()
    for nth in range(events - 1):
        log.note(message=f"note {nth} of {log.id}", details={"n": nth})
        if nth % 100 == 0:  # thousands in one save fill its pipeline, and it waits for ever
            app.save(log)
    app.save(log)
    taken: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        found = sum(1 for _ in app.events.get(log.id))
        taken.append(time.perf_counter() - began)
        assert found == events
    say({"seconds": min(taken)})


def main() -> None:
    """Does what the first argument says."""
    app = Application[UUID]()
    match sys.argv[1:]:
        case ["append", seconds]:
            append(app, float(seconds))
        case ["tail"]:
            tail(app)
        case ["read", events]:
            read(app, int(events))
        case _:
            sys.exit(__doc__)
    app.close()


if __name__ == "__main__":
    main()
