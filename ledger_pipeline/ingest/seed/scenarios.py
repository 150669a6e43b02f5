"""Stores the seeded scenarios: people, templates, artifacts and executions, whatever of them the ledger lacks."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.events.catalogue import Event, TokensUpdated
from ledger_pipeline.hot.artifacts import StoredArtifact, store_artifact
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.ingest.intake import Incoming, Intake, Row, latest_time
from ledger_pipeline.ingest.seed.cost_analysis import cost_analysis
from ledger_pipeline.ingest.seed.people import PEOPLE
from ledger_pipeline.ingest.seed.performance_tuning import performance_tuning
from ledger_pipeline.ingest.seed.quality_check import quality_check
from ledger_pipeline.ingest.seed.story import Follow
from ledger_pipeline.ingest.simulate import populate
from ledger_pipeline.pricing.book import PriceBook
from ledger_pipeline.pricing.costing import price

SCENARIOS = (cost_analysis, performance_tuning, quality_check)


@dataclass(frozen=True)
class Seeded:
    """The seeded executions by name, how many events they have, and how many of those the ledger did not have yet."""

    executions: dict[str, UUID]
    events: int
    new_events: int


def run_seed(connection: Connection, book: PriceBook, artifacts_dir: Path, now: datetime, follow: Follow) -> Seeded:
    """Adds three executions of the hours before `now`: one completed, one running, one failed; again adds nothing.

    Ids follow from names, not from `now`. Artifacts are files of the folder; `follow` keeps the templates. Raises
    InvalidInput for a `now` that the server's clock has not reached. The connection must not be in a transaction.
    """
    if now > latest_time(connection):
        raise InvalidInput(f"now: {now.isoformat()} is ahead of the server's clock")

    def keep(content: bytes, name: str) -> StoredArtifact:
        return store_artifact(artifacts_dir, content, name)

    populate(connection, PEOPLE)
    stories = [scenario(now, keep, follow) for scenario in SCENARIOS]
    intake = Intake(connection, "seed")
    for story in stories:
        intake.add(_incoming(book, event) for event in story.events)
    intake.finish()
    return Seeded(
        {story.name: story.execution_id for story in stories},
        sum(len(story.events) for story in stories),
        intake.new_events,
    )


def _incoming(book: PriceBook, event: Event) -> Incoming:
    assert event.execution_id is not None
    assert event.sequence is not None
    assert event.event_id is not None
    return Incoming(event.execution_id, event.sequence, event.event_id, event.event_type, partial(_row, book, event))


def _row(book: PriceBook, event: Event) -> Row:
    """What is sent; a model call is priced only when it is new."""
    return (price(book, event) if isinstance(event, TokensUpdated) else event).to_row()
