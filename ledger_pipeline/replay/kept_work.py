"""What a verification that was broken off had found of cold weeks, kept in a folder for one that goes on from there.

Only cold weeks are kept, whose events can't change without their files' SHA-256: whoever goes on hashes the bytes of
the files again, which takes a thirtieth of the time that their events take. All else is checked anew: hot events,
heads, chains from week to week, checkpoints, tree, notes. See docs/proof.md.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import file_digest, sha256
from pathlib import Path
from threading import Lock
from typing import Any

from ledger_pipeline.cold.files import check_file
from ledger_pipeline.cold.manifest import RolledWeekRow
from ledger_pipeline.cold.verify import ROWS
from ledger_pipeline.durable import sync
from ledger_pipeline.errors import ColdStoreDamaged
from ledger_pipeline.replay.sound_events import feed_file, segments_file
from ledger_pipeline.settings import ColdStore

_STATE = "hashed.jsonl"
_CHECKED = sha256(ROWS.encode()).hexdigest()
"""Names what was asked of each event: another version of this program may ask more."""


class KeptWork:
    """A folder that no other process uses meanwhile; without `resume`, what is in it is cleared."""

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self.folder = folder
        self._state = folder / _STATE
        self._lock = Lock()
        if not resume:
            self.clear()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = self._state.read_text().splitlines() if self._state.exists() else []
        self._hashed: dict[str, dict[str, Any]] = {}
        for line in lines:
            try:
                kept = json.loads(line)
            except ValueError:
                continue  # the process ended while it wrote the line
            self._hashed[kept["name"]] = kept

    def clear(self) -> None:
        """Removes the folder and what is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def has(self, cold_dir: ColdStore, weeks: Sequence[RolledWeekRow], name: Path) -> bool:
        """Whether these weeks were found as recorded, and their files and what was found are byte for byte the same."""
        kept = self._hashed.get(name.name)
        if kept is None or kept["weeks"] != _described(weeks) or kept["checked"] != _CHECKED:
            return False
        try:
            for week in weeks:
                for file in week.files:
                    check_file(cold_dir, file, again=True)
        except ColdStoreDamaged:
            return False
        try:
            return kept["found"] == [_digest(segments_file(name)), _digest(feed_file(name))]
        except FileNotFoundError:
            return False

    def keep(self, weeks: Sequence[RolledWeekRow], name: Path) -> None:
        """Notes that these weeks are as recorded, and that what was found of them is written."""
        for file in (segments_file(name), feed_file(name)):
            sync(file)
        line = {
            "name": name.name,
            "checked": _CHECKED,
            "weeks": _described(weeks),
            "found": [_digest(segments_file(name)), _digest(feed_file(name))],
        }
        with self._lock, self._state.open("a") as state:
            state.write(json.dumps(line) + "\n")
            state.flush()
            sync(self._state)


def _described(weeks: Sequence[RolledWeekRow]) -> list[dict[str, Any]]:
    return [
        {
            "week": week.week.isoformat(),
            "events": week.events,
            "root": (week.root or b"").hex(),
            "files": [asdict(file) for file in week.files],
        }
        for week in weeks
    ]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
