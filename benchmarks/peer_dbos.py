"""`dbos` at work, by the Python of `.venv-bench`: `peer_dbos.py URL NAME SECONDS` runs steps of one workflow."""

import sys
import time
from pathlib import Path

from dbos import DBOS

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.processes import say, say_ready


@DBOS.step()
def note(message: str, details: dict[str, int]) -> str:
    """One step; its outcome is what is stored."""
    return message


@DBOS.workflow()
def steps(name: str, seconds: float) -> list[float]:
    """One step after the other for some seconds; answers how many, and how long they took."""
    began = time.perf_counter()
    count = 0
    while (passed := time.perf_counter() - began) < seconds:
        note(f"note {count} of {name}", {"n": count})
        count += 1
    return [count, passed]


def main() -> None:
    """Runs one workflow when it is told to go."""
    url, name, seconds = sys.argv[1:]
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "executor_id": name,
            "application_version": "1",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    say_ready()
    count, passed = steps(name, float(seconds))
    say({"count": count, "seconds": passed})
    DBOS.destroy()


if __name__ == "__main__":
    main()
