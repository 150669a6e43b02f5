"""Whatever a ledger goes through, in whatever order: a continued build holds what a build from nothing holds."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.events import Event
from ledger_pipeline.ingest.simulate import populate
from ledger_pipeline.ledger import Ledger
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.pricing.by_hand import Variant, set_prices
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.differences import differences

ACTIONS = ("append", "append", "roll", "prune", "reprice", "budget", "build", "build")
STEPS = 10
PARTS = 5


class Fate:
    """A ledger that goes through one random order of everything that may happen to it."""

    def __init__(self, ledger: Ledger, history: list[Event], end: datetime, seed: int) -> None:
        self.ledger, self.random, self.now = ledger, Random(seed), end - timedelta(days=45)
        self.done: Counter[str] = Counter()
        self.builds_continued = 0
        self._parts = self._cut(history, parts=PARTS)

    def go(self) -> None:
        """Takes the steps in a random order, then appends, rolls and prunes what is left, with builds between."""
        order = [*dict.fromkeys(ACTIONS), *self.random.choices(ACTIONS, k=STEPS)]
        self.random.shuffle(order)
        for action in ["append", *order, "roll", "build", "prune", *["append"] * PARTS, "reprice", "build"]:
            getattr(self, action)()
            self.now += timedelta(days=self.random.randrange(5))

    def append(self) -> None:
        """Some events more: of new executions, and of ones that have begun, or ended, long ago."""
        part = next(self._parts, [])
        row = self.ledger.connection.execute(
            "SELECT array_agg(id) AS ids FROM execution_heads WHERE pruned_at IS NOT NULL"
        ).fetchone()
        pruned = set(row["ids"] or []) if row else set()
        lost = {event.execution_id for event in part if event.execution_id in pruned}
        self.done["append"] += self.ledger.append_many([e for e in part if e.execution_id not in lost], history=True)

    def roll(self) -> None:
        self.done["roll"] += len(self.ledger.roll(self.now, keep_days=self.random.choice([0, 7, 30])))

    def prune(self) -> None:
        with suppress(NotFound, InvalidInput):  # there is no build yet
            self.done["prune"] += self.ledger.prune(self.now, self.random.choice([0, 20])).executions

    def reprice(self) -> None:
        """Another price of a model for some time back, and what follows from it."""
        rates = {"input": Decimal(self.random.randrange(1, 90)) / 10, "output": Decimal(7)}
        by = {"reason": "as invoiced", "operator": "finance"}
        provider, model = self.random.choice([("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5")])
        start = self.now - timedelta(days=self.random.randrange(20, 80))
        set_prices(
            self.ledger.connection, Variant(provider, model), rates, valid_from=start, now=datetime.now(UTC), **by
        )
        repriced = self.ledger.reprice(datetime.now(UTC), models=[model], apply=True, **by)
        self.done["reprice"] += repriced.execution_id is not None

    def budget(self) -> None:
        self.ledger.budgets.set(
            workflow_name=self.random.choice(["cost_analysis", "quality_check", "support_triage", "server_rollout"]),
            period=self.random.choice(["day", "week", "month", "quarter", "year"]),
            limit_usd=self.random.randrange(1, 500),
        )
        self.ledger.judge_budgets()
        self.done["budget"] += 1

    def build(self) -> None:
        built = self.ledger.build_marts(self.now)
        self.builds_continued += not built.whole
        self.done["build"] += 1

    def _cut(self, history: list[Event], parts: int) -> Iterator[list[Event]]:
        """The events in parts, each execution's in sequence: most at once, some over many parts."""
        at: dict[object, int] = {}
        cut: list[list[Event]] = [[] for _ in range(parts)]
        for event in history:
            part = at.setdefault(event.execution_id, self.random.randrange(parts))
            if part < parts - 1 and self.random.random() < 0.01:
                part = at[event.execution_id] = self.random.randrange(part, parts)
            cut[part].append(event)
        yield from cut


@pytest.mark.slow
@pytest.mark.mission("C1")
@pytest.mark.mission("C5")
@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_order_of_what_may_happen_incremental_equals_full(
    ledger_url: str, history: list[Event], now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "grown"))
    with Ledger.open() as ledger:
        populate(ledger.connection)
        fate = Fate(ledger, history, now, seed)
        fate.go()
        grown = ledger.build_marts(now)
        assert (grown.whole, grown.new_events) == (False, 0)
        monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "full"))
        full_settings = Settings.read()
        # The cold files are those of the grown ledger; only its marts are made anew, in another folder.
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "cold").symlink_to(tmp_path / "grown" / "cold")
        with Ledger.open(full_settings) as same:
            full = same.build_marts(now, full=True)
    assert full.whole
    assert differences(grown.path, full.path) == {}
    assert fate.builds_continued > 0
    assert {name for name in ACTIONS if not fate.done[name]} == set(), fate.done
    with reading(full.path) as connection:
        empty = {
            name for name in marts() if connection.execute(f"SELECT count(*) FROM marts.{name}").fetchall() == [(0,)]
        }
    assert empty <= {"cost_anomalies", "removed_costs"}  # retention removed nothing
