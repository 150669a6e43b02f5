"""Rolls that are killed: `python -m ledger_pipeline_tests.cold.doomed_roller URL HOME COLD NOW`.

Reads a line a roll, `STEP before`, `STEP after`, `limit BYTES` or `-`; answers the process id of the fork that rolls,
then its exit code, negative for a signal. With a step, the fork kills itself before or after it; with a limit it can
write no larger file. The modules are loaded once, so that two hundred rolls take no minutes to start.
"""

import os
import resource
import signal
import sys
import traceback
from datetime import datetime
from pathlib import Path

from ledger_pipeline.cold import files
from ledger_pipeline.cold import roll as roll_module
from ledger_pipeline.hot.database import connect
from ledger_pipeline.settings import Settings

STEPS = (
    *("due_weeks", "_close", "close_checkpoint", "_sealed", "write_week", "_written", "_verified", "_committed"),
    *("StagedFile.write", "StagedFile.publish", "drop_empty_leaves"),
)

UNWRITABLE = 3
"""The exit code of a fork whose cold store takes no file."""


def killed_at(name: str, when: str) -> None:
    """Replaces a step of the roll by one that ends the process as a power cut does."""
    owner = files.StagedFile if name.startswith("StagedFile.") else roll_module
    name = name.removeprefix("StagedFile.")
    original = getattr(owner, name)

    def step(*args: object, **kwargs: object) -> object:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")

    setattr(owner, name, step)


def main(url: str, home: str, cold: str, now: str) -> None:
    """Forks a roll for each line."""
    for line in sys.stdin:
        what, _, how = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                if what == "limit":
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (int(how), int(how)))
                elif how:
                    killed_at(what, how)
                settings = Settings(home=Path(home), cold_url=cold)
                with connect(url, autocommit=True) as connection:
                    roll_module.roll(connection, settings, datetime.fromisoformat(now))
                code = 0
            except files.ColdStoreUnwritable:
                code = UNWRITABLE
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
