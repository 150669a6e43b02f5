"""Realistic agent traffic for a demonstration or a test: the same for the same arguments."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from psycopg import sql

from ledger_pipeline.errors import InvalidInput, InvalidTime
from ledger_pipeline.events.catalogue import Event
from ledger_pipeline.hot.append import append_many, last_sequences
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.ingest.simulation.journal import Price
from ledger_pipeline.ingest.simulation.population import Population, population
from ledger_pipeline.ingest.simulation.side_streams import SideStreams
from ledger_pipeline.ingest.simulation.traffic import Traffic
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import price

BATCH_EVENTS = 20_000
"""Events of one transaction, about; the append allows 50,000."""
MOST_DAYS = 10_000


@dataclass(frozen=True)
class Simulated:
    """What a simulation holds, and how much of it the ledger did not have yet."""

    executions: int
    events: int
    new_events: int


def simulate(executions: int, days: int, seed: int, now: datetime, price: Price | None = None) -> Iterator[Event]:
    """The events of `executions` workflow executions of the `days` days up to `now`.

    Ids and sequences are given. Executions come in families (child executions and re-runs with their root), families
    in order of their starts, a family's events in order of time; last a re-pricing run and a budget's stream, which
    are no workflow executions. With `price` usage is priced and some budgets are in dollars; the rest is the same.
    From 12 executions on every event type occurs. Raises InvalidInput for arguments out of range.
    """
    for family in _families(executions, days, seed, now, price):
        yield from family


def run_simulation(
    connection: Connection,
    book: PriceBook,
    executions: int,
    days: int,
    seed: int,
    now: datetime,
    progress: Callable[[int], None] | None = None,
) -> Simulated:
    """Appends a simulation with its population, priced from the book; what the ledger has already is left out.

    An execution is stored whole or not at all, so an interrupted run may be repeated. The connection must not be in a
    transaction. `progress` is told how many events are done.
    """
    populate(connection)
    seen = done = new = 0
    for chunk in _chunks(_families(executions, days, seed, now, partial(price, book))):
        ids = {event.execution_id for event in chunk if event.execution_id}
        with translated(), connection.transaction():
            last = last_sequences(connection, ids)
        missing = [e for e in chunk if e.execution_id and (e.sequence or 0) > last.get(e.execution_id, 0)]
        if missing:
            new += append_many(connection, missing, history=True)
        seen += len(ids)
        done += len(chunk)
        if progress:
            progress(done)
    return Simulated(seen, done, new)


def _families(executions: int, days: int, seed: int, now: datetime, price: Price | None) -> Iterator[list[Event]]:
    if executions < 1:
        raise InvalidInput(f"executions: must be at least 1, not {executions}")
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"days: must be from 1 to {MOST_DAYS}, not {days}")
    if now.tzinfo is None:
        raise InvalidTime(f"now: {now.isoformat()} has no time zone: give an offset such as +00:00")
    traffic = Traffic(executions, days, seed, now.astimezone(UTC))
    side = SideStreams(traffic.rhythm)
    for family in traffic.families(price):
        for event in family:
            side.watch(event)
        yield family
    yield side.repricing(traffic.ids("repricing"))
    yield side.budget(traffic.ids("budget"))


def _chunks(families: Iterable[list[Event]]) -> Iterator[list[Event]]:
    """Whole families together, as many as make up a batch."""
    chunk: list[Event] = []
    for family in families:
        if chunk and len(chunk) + len(family) > BATCH_EVENTS:
            yield chunk
            chunk = []
        chunk.extend(family)
    if chunk:
        yield chunk


def populate(connection: Connection, people: Population | None = None) -> None:
    """Adds the customers, users, agents and drives that the ledger lacks, by default the simulated ones."""
    people = people or population()
    members = {
        "customers": people.customers,
        "users": people.users,
        "agents": people.agents,
        "drives": people.drives,
    }
    insert = sql.SQL("INSERT INTO {} (id, name) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING")
    with translated(), connection.transaction(), connection.cursor() as cursor:
        for table, rows in members.items():
            cursor.executemany(insert.format(sql.Identifier(table)), [(member.id, member.name) for member in rows])
