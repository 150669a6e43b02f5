"""The roll: weeks that have been hot long enough move to the cold store, one after the other, and nothing is lost.

A week goes through sealed, written, verified and committed. Each step is idempotent and recorded in the manifest, so
whoever comes next goes on where an interrupted roll stopped. Hot rows are the truth until the commit, which judges
them once more and drops them in the transaction that makes the files the truth.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from psycopg import sql
from psycopg.types.json import Jsonb

from ledger_pipeline.cold.checkpoints import close_checkpoint, lies_below_checkpoint
from ledger_pipeline.cold.files import Orphan, check_file, remove_orphan, unnamed_files
from ledger_pipeline.cold.manifest import RolledWeekRow, WeekState, unfinished_weeks, week_row
from ledger_pipeline.cold.second_reader import SecondReader
from ledger_pipeline.cold.sessions import (
    ROLL_LOCK,
    SEAL_LOCK,
    own_transactions,
    retry_while_locked,
    sessions_holding,
    sole,
)
from ledger_pipeline.cold.write import write_week
from ledger_pipeline.errors import ColdStoreDamaged, InvalidInput
from ledger_pipeline.events.columns import week_of
from ledger_pipeline.events.schema import SCHEMA_VERSION
from ledger_pipeline.hot.database import Connection, connect_like, translated
from ledger_pipeline.hot.leaves import WEEKS_AHEAD, make_leaves
from ledger_pipeline.settings import Settings

WEEK = timedelta(days=7)
LOCK_WAIT_SECONDS = 300.0
"""How long a roll waits for another one, and for a gap between readers and writers to commit in."""


@dataclass(frozen=True)
class RolledWeek:
    """A week in the cold store; the seconds are this call's, all 0 for what an earlier one had done."""

    week: date
    events: int
    bytes: int
    files: int
    write_seconds: float = 0.0
    verify_seconds: float = 0.0
    commit_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """What the three steps took together."""
        return self.write_seconds + self.verify_seconds + self.commit_seconds


@dataclass(frozen=True)
class RollProgress:
    """Where a roll stands: the step that the week has reached, and while it is being written, how far that is."""

    week: date
    state: WeekState
    events: int
    of_events: int


Progress = Callable[[RollProgress], None]


def due_weeks(connection: Connection, now: datetime, hot_days: int) -> list[date]:
    """The weeks with hot events whose last instant is `hot_days` old, oldest first."""
    with translated():
        rows = connection.execute(
            "SELECT week FROM hot_weeks(%s) AS week ORDER BY week", (_last_due_week(now, hot_days),)
        ).fetchall()
    return [row["week"] for row in rows]


def roll(
    connection: Connection,
    settings: Settings,
    now: datetime,
    keep_days: int | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[RolledWeek]:
    """Rolls every due week and finishes what an earlier roll began; `dry_run` only says which and how many events.

    `keep_days` takes the place of the setting `hot_days`. Raises Held, naming the session, when another roll, a reader
    or an old transaction leaves no gap for minutes.
    """
    hot_days = settings.hot_days if keep_days is None else keep_days
    if hot_days < 0:
        raise InvalidInput(f"keep_days: must be 0 or more, got {keep_days}")
    if dry_run:
        return [_planned(connection, week) for week in due_weeks(connection, now, hot_days)]
    with own_transactions(connection), translated(), _only_roll(connection):
        due = due_weeks(connection, now, hot_days)
        if due:
            _close(connection, due[-1], now)  # and with it every earlier one: appends wait once
            due = due_weeks(connection, now, hot_days)  # with what came into an older week until it was closed
        weeks = sorted({*unfinished_weeks(connection), *due})
        rolled = _roll_in_order(connection, settings, weeks, now, progress)
        drop_empty_leaves(connection)
    return rolled


def roll_week(
    connection: Connection,
    settings: Settings,
    week: date,
    now: datetime,
    progress: Progress | None = None,
    *,
    keep_days: int | None = None,
) -> RolledWeek:
    """Rolls one due week, and first the ones before it that are still hot: weeks leave in their order.

    Of a week that is in the cold store already, what the manifest says; of one without events, zeros. Raises
    InvalidInput for a week that isn't due.
    """
    if week != week_of(datetime(week.year, week.month, week.day, tzinfo=UTC)):
        raise InvalidInput(f"week: {week} is not a Monday")
    last_due = _last_due_week(now, settings.hot_days if keep_days is None else keep_days)
    if week > last_due:
        raise InvalidInput(f"week: {week} is not old enough at {now.isoformat()}; the last week that is: {last_due}")
    with own_transactions(connection), translated(), _only_roll(connection):
        hot = connection.execute("SELECT week FROM hot_weeks(%s) AS week ORDER BY week", (week - WEEK,)).fetchall()
        return _roll_in_order(connection, settings, [*(row["week"] for row in hot), week], now, progress)[-1]


def orphans(connection: Connection, settings: Settings, *, remove: bool = False) -> list[Orphan]:
    """Files of this ledger that no manifest row names; `remove` deletes them, while no roll is under way."""
    with own_transactions(connection), translated(), _only_roll(connection):
        rows = connection.execute("SELECT week FROM archive_manifest").fetchall()
        manifest = [row for row in (week_row(connection, row["week"]) for row in rows) if row is not None]
        state = connection.execute("SELECT instance_id FROM ledger_state").fetchone()
        assert state is not None
        named = [file.name for row in manifest for file in row.named_files]
        found = unnamed_files(settings.cold_dir, state["instance_id"], named)
        for orphan in found if remove else ():
            remove_orphan(settings.cold_dir, orphan)
    return found


def drop_empty_leaves(connection: Connection) -> int:
    """Drops the empty tables of weeks that take no events any more; answers how many."""
    dropped = 0
    with own_transactions(connection), translated():
        while True:
            row = retry_while_locked(
                lambda: connection.execute("SELECT drop_empty_leaves() AS dropped").fetchone(),
                LOCK_WAIT_SECONDS,
                lambda: f"the event tables are held by {sessions_holding(connection, None)}: try again later",
            )
            if not row or not row["dropped"]:
                return dropped
            dropped += row["dropped"]


def _roll_in_order(
    connection: Connection, settings: Settings, weeks: list[date], now: datetime, progress: Progress | None
) -> list[RolledWeek]:
    """Rolls weeks in their order: while one is verified, the next is being written and the one before committed."""
    rolled: list[Future[RolledWeek]] = []
    with ExitStack() as resources:

        def aside(name: str) -> tuple[Connection, Executor]:
            """One thread with a connection of its own; it has ended before the connection closes."""
            own = resources.enter_context(connect_like(connection))
            return own, resources.enter_context(ThreadPoolExecutor(1, name))

        writing, ahead = aside("next-week")
        committing, behind = aside("last-week")
        second_reader = resources.enter_context(SecondReader(_hot_bytes(connection, weeks)))
        following = iter(weeks)
        under_way = deque(
            ahead.submit(_prepare, writing, settings, week, now, progress) for week in islice(following, 1)
        )
        while under_way:
            prepared = under_way.popleft().result()
            under_way.extend(
                ahead.submit(_prepare, writing, settings, week, now, progress) for week in islice(following, 1)
            )
            verified = _verify(connection, settings, prepared, second_reader, progress)
            if rolled:
                rolled[-1].result()  # weeks leave in their order: none is committed after one that wasn't
            rolled.append(behind.submit(_commit, committing, verified, progress))
        return [each.result() for each in rolled]


def _hot_bytes(connection: Connection, weeks: list[date]) -> int:
    row = connection.execute(
        """
        SELECT coalesce(sum(pg_table_size(format('ledger.%%I', leaf)::regclass)), 0)::bigint AS bytes
        FROM unnest(%s::date[]) AS week, week_leaves(week) AS leaf
        """,
        (weeks,),
    ).fetchone()
    return row["bytes"] if row else 0


@dataclass(frozen=True)
class _Prepared:
    """A week whose files are written, or verified as well; `row` is None when it has no events."""

    week: date
    row: RolledWeekRow | None
    write_seconds: float = 0.0
    verify_seconds: float = 0.0


def _prepare(
    connection: Connection,
    settings: Settings,
    week: date,
    now: datetime,
    progress: Progress | None,
) -> _Prepared:
    """Seals a week and writes its files, unless that has been done."""
    row = _sealed(connection, week, now)
    if row is None or row.state is WeekState.COMMITTED:
        return _Prepared(week, row)
    report = _reporter(progress, row)
    report(WeekState.SEALED, 0)
    began = time.monotonic()
    if row.state is WeekState.SEALED or not _files_are_whole(settings, row):
        row = _written(connection, settings, row, lambda events: report(WeekState.SEALED, events))
    report(WeekState.WRITTEN, row.events)
    return _Prepared(week, row, time.monotonic() - began)


def _verify(
    connection: Connection,
    settings: Settings,
    prepared: _Prepared,
    second_reader: SecondReader,
    progress: Progress | None,
) -> _Prepared:
    """Verifies a week's files, unless that has been done."""
    row = prepared.row
    if row is None or row.state is WeekState.COMMITTED:
        return prepared
    began = time.monotonic()
    if row.state is WeekState.WRITTEN:
        row = _verified(connection, settings, row, second_reader)
    _reporter(progress, row)(WeekState.VERIFIED, row.events)
    return replace(prepared, row=row, verify_seconds=time.monotonic() - began)


def _commit(connection: Connection, verified: _Prepared, progress: Progress | None) -> RolledWeek:
    """Commits a week, unless that has been done."""
    row = verified.row
    if row is None:
        return RolledWeek(verified.week, 0, 0, 0)
    committed = 0.0
    if row.state is not WeekState.COMMITTED:
        began = time.monotonic()
        row = _committed(connection, row)
        committed = time.monotonic() - began
    _reporter(progress, row)(WeekState.COMMITTED, row.events)
    seconds = (verified.write_seconds, verified.verify_seconds, committed)
    return RolledWeek(row.week, row.events, row.bytes, len(row.named_files), *seconds)


def _reporter(progress: Progress | None, row: RolledWeekRow) -> Callable[[WeekState, int], None]:
    def report(state: WeekState, events: int) -> None:
        if progress:
            progress(RollProgress(row.week, state, events, row.events))

    return report


def _sealed(connection: Connection, week: date, now: datetime) -> RolledWeekRow | None:
    """Closes the week, takes its roll over, and puts it below a checkpoint; None when it has no events."""
    known = week_row(connection, week)
    if known is not None and known.state is WeekState.COMMITTED:
        return known
    if not _close(connection, week, now):
        return None
    sealed = retry_while_locked(
        # A process that was killed may have left its session at the commit of this very week, for a moment.
        lambda: connection.execute("SELECT * FROM seal_week(%s)", (week,)).fetchone(),
        LOCK_WAIT_SECONDS,
        lambda: f"the week {week} cannot be sealed while {sessions_holding(connection, None)} commits it: try again",
    )
    if sealed is None or sealed["week"] is None:
        return None
    row = RolledWeekRow.from_row(sealed)
    if not lies_below_checkpoint(connection, row.last):
        close_checkpoint(connection, beyond=row.last)
    return row


def _close(connection: Connection, week: date, now: datetime) -> bool:
    """Lets no append reach the week any more; False when it has no events."""
    connection.execute("SELECT assert_epoch()")
    _make_next_leaves(connection, week + WEEK)
    closed = retry_while_locked(
        lambda: connection.execute("SELECT close_week(%s, %s) AS closed", (week, now)).fetchone(),
        LOCK_WAIT_SECONDS,
        lambda: f"the week {week} cannot be closed while {sessions_holding(connection, SEAL_LOCK)} appends: try again",
    )
    return bool(closed and closed["closed"])


def _make_next_leaves(connection: Connection, first_open: date) -> None:
    """What an append under way had meant for the week may have to go to the next one: its leaves come first."""
    missing = connection.execute(
        """
        SELECT event_type, m.week FROM missing_leaves(%s::date[]) m, ledger_state s
        WHERE m.week = %s AND s.first_open_week < m.week OR m.week >= week_of(clock_timestamp())
        """,
        ([first_open + nth * WEEK for nth in range(WEEKS_AHEAD + 1)], first_open),
    ).fetchall()
    make_leaves(connection, [(row["event_type"], row["week"]) for row in missing])


def _written(
    connection: Connection, settings: Settings, row: RolledWeekRow, progress: Callable[[int], None]
) -> RolledWeekRow:
    files = write_week(connection, settings.cold_dir, row.instance_id, row.week, progress)
    marked = connection.execute(
        "SELECT * FROM mark_written(%s, %s, %s, %s)",
        (row.week, row.fencing_token, Jsonb([asdict(file) for file in files]), SCHEMA_VERSION),
    ).fetchone()
    return _row(marked)


def _files_are_whole(settings: Settings, row: RolledWeekRow) -> bool:
    """Whether an interrupted roll's files can be used: until the commit, hot rows can be written again."""
    try:
        for file in row.files:
            check_file(settings.cold_dir, file, again=True)
    except ColdStoreDamaged:
        return False
    return True


def _verified(
    connection: Connection, settings: Settings, row: RolledWeekRow, second_reader: SecondReader
) -> RolledWeekRow:
    events, root = second_reader.verify(settings.cold_dir, row.week, row.files)
    marked = connection.execute(
        "SELECT * FROM mark_verified(%s, %s, %s, %s)", (row.week, row.fencing_token, events, root)
    ).fetchone()
    return _row(marked)


def _committed(connection: Connection, row: RolledWeekRow) -> RolledWeekRow:
    return _row(
        retry_while_locked(
            lambda: connection.execute("SELECT * FROM commit_week(%s, %s)", (row.week, row.fencing_token)).fetchone(),
            LOCK_WAIT_SECONDS,
            lambda: (
                f"the week {row.week} cannot be committed while {sessions_holding(connection, None)} reads: try again"
            ),
        )
    )


def _row(marked: dict[str, object] | None) -> RolledWeekRow:
    assert marked is not None
    return RolledWeekRow.from_row(marked)


def _planned(connection: Connection, week: date) -> RolledWeek:
    # A literal, so that the planner sees only this week's leaves.
    counted = connection.execute(
        sql.SQL("SELECT count(*) AS events FROM workflow_events WHERE week = {}").format(sql.Literal(week))
    ).fetchone()
    return RolledWeek(week, counted["events"] if counted else 0, 0, 0)


def _last_due_week(now: datetime, hot_days: int) -> date:
    try:
        return week_of(now - timedelta(days=hot_days)) - WEEK
    except OverflowError:
        raise InvalidInput(f"keep_days: {hot_days} days before {now.isoformat()} there is no calendar") from None


def _only_roll(connection: Connection) -> AbstractContextManager[None]:
    """One roll of a ledger at a time."""
    return sole(connection, ROLL_LOCK, "another roll is under way in", "wait for its end", LOCK_WAIT_SECONDS)
