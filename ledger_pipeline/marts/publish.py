"""The mart builds on disk: the current one, how it is read, and how a new one takes its place."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import duckdb

from ledger_pipeline.durable import sync
from ledger_pipeline.engines.duckdb.session import reading
from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.settings import Settings

CURRENT = "current.duckdb"
_BUILD = "ledger-*.duckdb"
_UNFINISHED = ".building-*"
_TRIES = 5


def current(settings: Settings) -> Path:
    """The newest published build; raises NotFound when there is none."""
    link = settings.marts_dir / CURRENT
    path = link.resolve()
    if not path.is_file():
        raise NotFound(f"there are no marts at {link}: run `ledger-pipeline daily` to build them")
    return path


def current_or_none(settings: Settings) -> Path | None:
    """The newest published build, if there is one."""
    path = (settings.marts_dir / CURRENT).resolve()
    return path if path.is_file() else None


def connect_readonly(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A sandboxed, read-only session on the current build, which stays the same until it is closed.

    Raises NotFound when there is no build, InvalidInput for a file that this DuckDB can't read.
    """
    for _ in range(_TRIES):
        path = current(settings)
        try:
            return reading(path)
        except duckdb.Error as error:
            # Between the look at the link and the opening, newer builds may have pushed this one out.
            if path == current_or_none(settings):
                reason = str(error).splitlines()[0]
                raise InvalidInput(
                    f"{path}: these marts can't be read ({reason}): run `ledger-pipeline daily` to build new ones"
                ) from None
    raise NotFound(
        f"the marts at {settings.marts_dir / CURRENT} are replaced faster than they can be opened: try again"
    )


@contextmanager
def as_of_this_version(connection: duckdb.DuckDBPyConnection) -> Generator[None]:
    """Says so when a question fails because another version of the package made the marts that the session has open."""
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException):
        require_this_version(connection)
        raise


def require_this_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises InvalidInput when the open marts lack a mart or a column that this version of the package has."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'marts' AND NOT internal"
    ).fetchall()
    held = set(rows)
    lacking = [(name, column) for name, mart in marts().items() for column in mart.types if (name, column) not in held]
    if lacking:
        name, column = lacking[0]
        what = f"column {column} of mart {name}" if name in {row[0] for row in rows} else f"mart {name}"
        raise InvalidInput(
            f"these marts were built by another version, which has no {what}: run `ledger-pipeline daily`"
        )


@contextmanager
def unfinished(marts_dir: Path) -> Generator[Path]:
    """The path of a file to write a build to; removed at the end unless it was published.

    Whoever writes holds the publish lock, so what others left unfinished is removed first.
    """
    try:
        marts_dir.mkdir(parents=True, exist_ok=True)
        for left in marts_dir.glob(_UNFINISHED):
            _remove(left)
        work = marts_dir / f".building-{uuid4().hex}.duckdb"
        work.touch()
        work.unlink()
    except OSError as error:
        raise InvalidInput(f"{marts_dir}: marts can't be written there: {error.strerror}") from None
    try:
        yield work
    finally:
        for left in marts_dir.glob(f"{work.name}*"):
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            inner.unlink(missing_ok=True)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def swap_in(work: Path, now: datetime, keep: int) -> Path:
    """Makes a finished file the current build, atomically, and removes all but the `keep` newest builds.

    A build's name is never used twice: a process that has the old file open would go on reading it under that name.
    Readers of a removed build keep what they have open.
    """
    marts_dir = work.parent
    path = marts_dir / f"ledger-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}.duckdb"
    sync(work)
    work.rename(path)
    link = marts_dir / f".{path.name}.link"
    link.symlink_to(path.name)
    link.replace(marts_dir / CURRENT)
    sync(marts_dir)
    remove_old(marts_dir, keep)
    return path


def remove_old(marts_dir: Path, keep: int) -> None:
    """Removes all builds but the current one and the newest others, `keep` in all; none where none is current."""
    current_name = (marts_dir / CURRENT).resolve().name
    # By time of writing, not by name: `now` may be any instant that a caller asks for.
    builds = sorted(marts_dir.glob(_BUILD), key=lambda build: build.stat().st_mtime_ns, reverse=True)
    others = [build for build in builds if build.name != current_name]
    if len(others) < len(builds):
        for old in others[max(keep - 1, 0) :]:
            old.unlink(missing_ok=True)
