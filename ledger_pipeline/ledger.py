"""`Ledger`: the one object through which people and programs use the ledger."""

import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self
from uuid import UUID, uuid4

from ledger_pipeline.arguments import id_of, shown, time_of
from ledger_pipeline.errors import InvalidInput, NotFound, SchemaMismatch
from ledger_pipeline.events import Event, TokensUpdated
from ledger_pipeline.hot.acting import act_for, act_like
from ledger_pipeline.hot.append import Appended, append, append_many, checked_events, hash_of_request
from ledger_pipeline.hot.database import Connection, connect, translated
from ledger_pipeline.hot.leaves import make_leaves_ahead, may_make_leaves
from ledger_pipeline.hot.revision import REVISION, check, current_revision
from ledger_pipeline.hot.server import EmbeddedServer, check_connection
from ledger_pipeline.pricing.book import PriceBook, load_book
from ledger_pipeline.pricing.catalogue import load_embedded
from ledger_pipeline.pricing.costing import price
from ledger_pipeline.settings import Settings

if TYPE_CHECKING:
    import duckdb

    from ledger_pipeline.budgets.budget import Budgets
    from ledger_pipeline.budgets.judging import Judged
    from ledger_pipeline.cold.checkpoints import Checkpoint
    from ledger_pipeline.cold.consistency import ConsistencyProof
    from ledger_pipeline.cold.consumer import Delivery
    from ledger_pipeline.cold.feed import Position
    from ledger_pipeline.cold.horizon import FeedStatus
    from ledger_pipeline.cold.notes import Note
    from ledger_pipeline.cold.proof import Proof
    from ledger_pipeline.cold.prune import Pruned
    from ledger_pipeline.cold.retention import Removable, RemovedWeek
    from ledger_pipeline.cold.signed_note import VerifierKey
    from ledger_pipeline.events.state import ExecutionState
    from ledger_pipeline.hot.directory import People
    from ledger_pipeline.ingest.seed.scenarios import Seeded
    from ledger_pipeline.ingest.seed.story import Followed
    from ledger_pipeline.queries.answers import Queries
    from ledger_pipeline.replay.check_projections import ProjectionReport
    from ledger_pipeline.replay.kept_work import KeptWork
    from ledger_pipeline.replay.rebuild_projections import Rebuilt
    from ledger_pipeline.replay.repricing import Repriced
    from ledger_pipeline.replay.snapshots import SnapshotResult
    from ledger_pipeline.replay.verify import Report
    from ledger_pipeline.templates import Templates
    from ledger_pipeline.workflows.workflows import Workflows

Progress = Callable[[int], None]

BOOK_SECONDS = 5.0
"""How long the price book is taken for current before the ledger looks whether it has changed."""
_BOOK_VERSION = (
    "SELECT (SELECT count(*) FROM model_pricing) AS prices, (SELECT max(recorded_at) FROM model_pricing) AS latest,"
    " (SELECT count(*) FROM price_rules) AS rules, (SELECT count(*) FROM price_sources) AS readings"
)
_SET_UP_LOCK = (19524, 2005)


def set_up(url: str, now: datetime, to: str = "head") -> str | None:
    """Migrates a database and loads the embedded price catalogue, so that an import has prices from the start.

    Processes that come at the same time wait for each other; whoever comes second finds it done.
    """
    from ledger_pipeline.hot.migrate import migrate

    with connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s, %s)", _SET_UP_LOCK)
        revision = migrate(url, now, to)
        if revision is not None:
            load_embedded(connection, now)
        return revision


def is_set_up(url: str) -> bool:
    """Whether the database is at this code's schema and has a price book."""
    if current_revision(url) != REVISION:
        return False
    with connect(url, autocommit=True) as connection:
        return connection.execute("SELECT FROM price_sources LIMIT 1").rowcount > 0


class Ledger:
    """An open ledger: holds the embedded server, or a connection to the configured one, until it is closed.

    Domain code takes the time as an argument; only this class, at the edge, may read the clock.
    """

    def __init__(self, settings: Settings, url: str, resources: ExitStack) -> None:
        self.settings = settings
        self.url = url
        self._resources = resources
        self._book: PriceBook | None = None
        self._book_version: tuple[Any, ...] = ()
        self._book_seen = 0.0

    @classmethod
    def open(cls, settings: Settings | None = None, *, bring_up_to_date: bool = True) -> Self:
        """Opens the ledger of the settings, by default of the environment.

        The embedded database is migrated when it is behind; a configured server must be migrated by its owner
        (SchemaMismatch otherwise). Tables of the coming weeks are made ahead, unless the login only reads.
        """
        settings = settings or Settings.read()
        resources = ExitStack()
        with resources:
            if settings.database_url is None:
                server = EmbeddedServer(settings)
                url = server.acquire()
                resources.callback(server.release)
            else:
                url = settings.database_url.get_secret_value()
                check_connection(url)
            if bring_up_to_date:
                now = datetime.now(UTC)
                ready = is_set_up(url)
                if not ready and settings.database_url is None:
                    set_up(url, now)
                    ready = True
                check(url)
                if not ready:
                    raise SchemaMismatch("the database has no prices yet: run `ledger-pipeline migrate`")
                with connect(url, autocommit=True) as connection:
                    if may_make_leaves(connection):
                        make_leaves_ahead(connection, now)
            return cls(settings, url, resources.pop_all())
        raise AssertionError("unreachable: the block above returns or raises")

    def close(self) -> None:
        """Closes connections and gives the embedded server back."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def connection(self) -> Connection:
        """An autocommitting connection to the hot store."""
        return self._resources.enter_context(connect(self.url, autocommit=True))

    def act_for(self, user_id: UUID | None) -> None:
        """Makes all that this ledger is asked act for a user; see `hot.acting.act_for`, whom it counts for."""
        act_for(self.connection, user_id)

    def _session(self) -> Connection:
        """A session of its own for one answer, which acts for the same user as `connection`."""
        session = connect(self.url, autocommit=True)
        if "connection" in self.__dict__:
            act_like(session, self.connection)
        return session

    @property
    def book(self) -> PriceBook:
        """The price book as it stands, also after another process has changed it; looked at again every few seconds."""
        if self._book is None or time.monotonic() - self._book_seen > BOOK_SECONDS:
            row = self.connection.execute(_BOOK_VERSION).fetchone()
            version = tuple(row.values()) if row else ()
            if self._book is None or version != self._book_version:
                self._book, self._book_version = load_book(self.connection), version
            self._book_seen = time.monotonic()
        return self._book

    def _priced(self, events: Iterable[Event | Mapping[str, Any]]) -> Iterator[Event | Mapping[str, Any]]:
        for event in events:
            yield price(self.book, event) if isinstance(event, TokensUpdated) else event

    # Writing ------------------------------------------------------------------------------------------------------

    def append(
        self,
        execution_id: UUID,
        events: Sequence[Event | Mapping[str, Any]],
        expected_sequence: int | None = None,
        idempotency_key: str | None = None,
    ) -> Appended:
        """Prices and stores events of one execution, all or none; see `hot.append.append`."""
        events = checked_events(events)
        return append(
            self.connection,
            execution_id,
            list(self._priced(events)),
            expected_sequence=expected_sequence,
            idempotency_key=idempotency_key,
            # Of the request as given: a repetition is the same request, whatever prices are by then.
            request_hash=hash_of_request(events) if idempotency_key else None,
        )

    def append_many(
        self, events: Iterable[Event | Mapping[str, Any]], *, history: bool = False, progress: Progress | None = None
    ) -> int:
        """Prices and stores events of any number of executions in batches; see `hot.append.append_many`."""
        return append_many(self.connection, self._priced(events), history=history, progress=progress)

    @property
    def templates(self) -> "Templates":
        """The stored workflow definitions."""
        from ledger_pipeline.templates import Templates

        return Templates(self.connection)

    @property
    def people(self) -> "People":
        """Customers, users, agents, drives and the drives' members."""
        from ledger_pipeline.hot.directory import People

        return People(self.connection)

    @property
    def budgets(self) -> "Budgets":
        """What workflows, agents and customers may use in a period."""
        from ledger_pipeline.budgets.budget import Budgets

        return Budgets(self.connection)

    def judge_budgets(self) -> "Judged":
        """Counts what was used since the last time and records the budgets that were crossed; see `budgets.judging`."""
        from ledger_pipeline.budgets.judging import judge

        with connect(self.url, autocommit=True) as working:
            return judge(working, self.settings.cold_dir)

    @cached_property
    def workflows(self) -> "Workflows":
        """The commands by which an application runs workflows."""
        from ledger_pipeline.workflows.workflows import Workflows

        return Workflows(self, self.connection, self.settings.home / "artifacts", lambda: datetime.now(UTC))

    # Reading ------------------------------------------------------------------------------------------------------

    def events(self, execution_id: UUID) -> Iterator[dict[str, Any]]:
        """An execution's event rows in sequence, hot and cold; raises NotFound for an unknown execution."""
        wanted = id_of("execution_id", execution_id)
        with translated():
            known = self.connection.execute("SELECT FROM execution_heads WHERE id = %s", (wanted,)).rowcount
        if not known:
            raise NotFound(f"execution {wanted} does not exist")
        return self._events(wanted)

    def _events(self, execution_id: UUID) -> Iterator[dict[str, Any]]:
        from ledger_pipeline.cold.reader import execution_events

        with translated(), self._session() as reading:
            yield from execution_events(reading, self.settings.cold_dir, execution_id)

    def replay(
        self, execution_id: UUID, as_of: int | datetime | None = None, known_at: datetime | None = None
    ) -> "ExecutionState":
        """The execution's state as of an event or an instant, hot and cold alike; see `replay.replay`."""
        from ledger_pipeline.replay.replay import replay

        wanted = id_of("execution_id", execution_id)
        if as_of is not None and (isinstance(as_of, bool) or not isinstance(as_of, (int, datetime))):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInput(f"as_of: is {shown(as_of)}; allowed: a sequence or a datetime with its time zone")
        known_at = None if known_at is None else time_of("known_at", known_at)
        with self._session() as reading:
            return replay(reading, self.settings.cold_dir, wanted, as_of=as_of, known_at=known_at)

    @contextmanager
    def feed(
        self,
        consumer: str | None = None,
        *,
        after: "Position | None" = None,
        event_types: Collection[str] | None = None,
        batch_rows: int = 65_536,
    ) -> Generator["Delivery"]:
        """Every event that a consumer has not had yet, once, hot and cold, as Arrow batches in one order.

        A named consumer goes on from where it left off, and has moved when the block was left after the last batch; one
        that keeps its own place gives `after`. See docs/feed.md and `cold.consumer.deliver`.
        """
        from ledger_pipeline.cold.consumer import deliver

        with (
            self._session() as reading,
            deliver(
                reading,
                self.settings.cold_dir,
                consumer,
                after=after,
                event_types=event_types,
                batch_rows=batch_rows,
            ) as delivery,
        ):
            yield delivery

    def feed_status(self) -> "FeedStatus":
        """How far the feed reaches, which transaction holds it back, and where its consumers stand."""
        from ledger_pipeline.cold.horizon import feed_status

        with self._session() as reading:
            return feed_status(reading)

    def verify(
        self,
        progress: Callable[..., None] | None = None,
        notes: Path | None = None,
        keys: Sequence["VerifierKey"] | None = None,
        kept: "KeptWork | None" = None,
    ) -> "Report":
        """Re-hashes everything stored, hot and cold; `notes` is a folder of notes that the ledger must agree with.

        They must be signed by one of the keys, by default the one that signs here. `kept` is where a run that is broken
        off leaves what it has found, and where this one goes on from.
        """
        from ledger_pipeline.replay.note_check import KeptNotes
        from ledger_pipeline.replay.verify import verify

        with self._session() as reading:
            # Before the events: a note that is there now signs what is in the database already.
            kept_notes = None if notes is None else KeptNotes.read(reading, self.settings, notes, keys)
            return verify(reading, self.settings.cold_dir, progress=progress, notes=kept_notes, kept=kept)

    @cached_property
    def queries(self) -> "Queries":
        """The store's answers: executions, audit, errors, statistics and more, filtered and in pages."""
        from ledger_pipeline.queries.answers import Queries

        return Queries(self.settings, self._session)

    def check_projections(
        self, execution_ids: Sequence[UUID] | None = None, progress: Progress | None = None
    ) -> "ProjectionReport":
        """Compares every projection row with a replay of its events, hot and cold."""
        from ledger_pipeline.replay.check_projections import check_projections

        with self._session() as reading:
            return check_projections(reading, self.settings.cold_dir, execution_ids, progress=progress)

    def rebuild_projections(
        self, execution_ids: Sequence[UUID] | None = None, progress: Progress | None = None
    ) -> "Rebuilt":
        """Makes projection rows anew from events, hot and cold; needs the schema owner's rights."""
        from ledger_pipeline.replay.rebuild_projections import rebuild_projections

        with connect(self.url, autocommit=True) as working:
            return rebuild_projections(working, self.settings.cold_dir, execution_ids, progress=progress)

    def marts(self) -> "duckdb.DuckDBPyConnection":
        """A read-only DuckDB connection on the current build of the marts."""
        from ledger_pipeline.marts.publish import connect_readonly

        return connect_readonly(self.settings)

    def export_jsonl(
        self,
        out: BinaryIO,
        execution_id: UUID | None = None,
        progress: Progress | None = None,
        *,
        but_removed: bool = False,
    ) -> int:
        """Writes the events of the ledger, or of one execution, in the interchange format; answers how many.

        Raises EventsRemoved when some were removed under retention, unless all `but_removed` ones are wanted.
        """
        from ledger_pipeline.cold.reader import scan_events
        from ledger_pipeline.ingest.jsonl import export_jsonl, export_rows

        if execution_id is not None:
            return export_rows(self.events(execution_id), out)
        with self._session() as reading:
            return export_jsonl(scan_events(reading, self.settings.cold_dir, but_removed=but_removed), out, progress)

    # Ways in ------------------------------------------------------------------------------------------------------

    @property
    def rejects_dir(self) -> Path:
        """Where importers put lines aside that they can't take."""
        return self.settings.home / "rejects"

    def import_aider(self, path: Path, progress: Progress | None = None) -> Any:
        """Imports an Aider analytics log; a repeated import adds nothing."""
        from ledger_pipeline.ingest.aider import import_aider

        return import_aider(self.connection, self.book, path, self.rejects_dir, progress=progress)

    def import_jsonl(self, path: Path, progress: Progress | None = None) -> Any:
        """Imports the interchange format; a repeated import adds nothing."""
        from ledger_pipeline.ingest.jsonl import import_jsonl

        return import_jsonl(self.connection, path, self.rejects_dir, progress=progress)

    def simulate(self, executions: int, days: int, seed: int, now: datetime, progress: Progress | None = None) -> Any:
        """Appends realistic traffic of the days up to `now`, the same for the same arguments."""
        from ledger_pipeline.ingest.simulate import run_simulation

        return run_simulation(self.connection, self.book, executions, days, seed, now, progress=progress)

    def seed(self, now: datetime) -> "Seeded":
        """Adds three realistic executions of the time before `now`, with their templates and real artifacts; again
        adds nothing.
        """
        from ledger_pipeline.ingest.seed.scenarios import run_seed

        return run_seed(self.connection, self.book, self.settings.home / "artifacts", now, self._followed)

    def _followed(self, definition: Mapping[str, Any], drive_id: UUID, created_by: UUID) -> "Followed":
        """The first version of a definition's template in a drive, saved where the drive lacks it, and its plan."""
        from ledger_pipeline.ingest.seed.story import Followed
        from ledger_pipeline.templates.plan import plan

        name = str(definition["name"])
        try:
            template = self.templates.get(name, drive_id=drive_id, version=1)
        except NotFound:
            self.templates.save(dict(definition), drive_id=drive_id, created_by=created_by)
            template = self.templates.get(name, drive_id=drive_id, version=1)
        entries = plan(template.definition, uuid4, template_steps=template.step_ids)
        return Followed(template.id, template.version_number, entries)

    # The daily job's parts ----------------------------------------------------------------------------------------

    def sync_prices(self, now: datetime) -> Any:
        """Brings the price book up to the configured sources."""
        from ledger_pipeline.pricing.sources import configured_sources
        from ledger_pipeline.pricing.sync import sync

        result = sync(self.connection, configured_sources(self.settings.price_sources, self.settings.prices_dir), now)
        self._book = None
        return result

    def reprice(
        self,
        now: datetime,
        start: datetime | None = None,
        end: datetime | None = None,
        models: Sequence[str] = (),
        *,
        apply: bool = False,
        reason: str | None = None,
        operator: str | None = None,
    ) -> "Repriced":
        """What calls of a time and of models cost as known now, beside what the ledger says so far.

        Applied, the differences are stored as an execution of its own; what it corrected is not corrected again.
        Raises InvalidInput when an application has no reason or no operator.
        """
        from ledger_pipeline.pricing.repricing import Selection
        from ledger_pipeline.replay.repricing import reprice

        with self._session() as working:
            return reprice(
                working,
                self._session,
                self.settings.cold_dir,
                Selection(start, end, tuple(models)),
                now,
                apply=apply,
                reason=reason,
                operator=operator,
            )

    def snapshot(
        self, now: datetime, progress: Callable[..., None] | None = None, *, everything: bool = False
    ) -> "SnapshotResult":
        """Takes the state snapshots that are due; see `replay.snapshots.take_snapshots`."""
        from ledger_pipeline.replay.snapshots import take_snapshots

        settings = self.settings
        with connect(self.url, autocommit=True) as working:
            return take_snapshots(
                working, settings.cold_dir, settings.snapshot_every, now, progress, everything=everything
            )

    def checkpoint(self) -> "tuple[Checkpoint | None, Note | None]":
        """Closes the feed up to its horizon and signs the tree; None for what there is nothing new to say of."""
        from ledger_pipeline.cold.checkpoints import close_checkpoint
        from ledger_pipeline.cold.notes import sign_tree

        with connect(self.url, autocommit=True) as working:
            return close_checkpoint(working), sign_tree(working, self.settings)

    def prove(self, event_id: UUID) -> "Proof":
        """The proof that an event was recorded; see `cold.proof.prove`."""
        from ledger_pipeline.cold.proof import prove

        wanted = id_of("event_id", event_id)
        with self._session() as reading:
            return prove(reading, self.settings, wanted)

    def prove_consistency(self, since: Path) -> "ConsistencyProof":
        """The proof that the ledger goes on from a kept note; see `cold.consistency.prove_consistency`."""
        from ledger_pipeline.cold.consistency import prove_consistency

        with self._session() as reading:
            return prove_consistency(reading, self.settings, since)

    def roll(
        self,
        now: datetime,
        keep_days: int | None = None,
        *,
        dry_run: bool = False,
        progress: Callable[..., None] | None = None,
    ) -> Any:
        """Rolls every week that is due to cold storage."""
        from ledger_pipeline.cold.roll import roll

        with connect(self.url, autocommit=True) as working:
            return roll(working, self.settings, now, keep_days=keep_days, dry_run=dry_run, progress=progress)

    def build_marts(self, now: datetime, *, full: bool = False, progress: Callable[..., None] | None = None) -> Any:
        """Builds, checks and publishes the marts."""
        from ledger_pipeline.marts.build import build

        with connect(self.url, autocommit=True) as working:
            return build(working, self.settings, now, progress=progress, full=full)

    def removable_weeks(self, now: datetime, days: int | None = None) -> "list[Removable]":
        """The weeks past retention, with what stands against their removal; see `cold.retention`."""
        from ledger_pipeline.cold.retention import removable_weeks

        with self._session() as reading:
            return removable_weeks(reading, self.settings.cold_dir, now, self._retention_days(days))

    def remove_weeks(
        self,
        now: datetime,
        days: int | None = None,
        *,
        operator: str,
        reason: str,
        progress: Callable[..., None] | None = None,
    ) -> "list[RemovedWeek]":
        """Removes the weeks past retention that nothing holds, for good; see `cold.retention`.

        Days: those of the setting; raises InvalidInput when neither says how many, or without current marts.
        """
        from ledger_pipeline.cold.retention import remove_weeks
        from ledger_pipeline.marts.coverage import published_position
        from ledger_pipeline.marts.ledger_source import publish_lock
        from ledger_pipeline.marts.retained_costs import costs_by_week

        wanted = self._retention_days(days)
        with connect(self.url, autocommit=True) as working, publish_lock(working):
            held = published_position(working, self.settings)
            with costs_by_week(self.settings) as costs_of:
                return remove_weeks(
                    working,
                    self.settings,
                    held,
                    costs_of,
                    now,
                    wanted,
                    operator=operator,
                    reason=reason,
                    progress=progress,
                )

    def _retention_days(self, days: int | None) -> int:
        wanted = self.settings.retention_days if days is None else days
        if wanted is None:
            raise InvalidInput("retention is off: set LEDGER_RETENTION_DAYS, or say after how many days")
        return wanted

    def prune(
        self,
        now: datetime,
        after_days: int | None = None,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> "Pruned":
        """Prunes ended executions whose events are all cold and in the published marts; see `cold.prune`.

        Days: those of the setting; raises InvalidInput when neither says how many.
        """
        from ledger_pipeline.cold.prune import prune
        from ledger_pipeline.marts.coverage import published_position

        days = self.settings.prune_after_days if after_days is None else after_days
        if days is None:
            raise InvalidInput("pruning is off: set LEDGER_PRUNE_AFTER_DAYS, or say after how many days")
        with connect(self.url, autocommit=True) as working:
            held = published_position(working, self.settings)
            return prune(working, held, now, days, dry_run=dry_run, progress=progress)
