"""Brings the marts of a build up to its staging tables: whole, or only the grain keys that new rows touch.

A query always reads its inputs by name. For a delta it runs in catalog `delta`, where the same names hold only the
rows of the touched keys; so a mart has one query, and rebuilding a key gives what rebuilding everything would.
"""

# ruff: noqa: S608  names of tables and columns are our own; values are parameters

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager

import duckdb

from ledger_pipeline.engines.duckdb.session import BUILD
from ledger_pipeline.engines.duckdb.tables import (
    columns_of,
    comment,
    comment_columns,
    count,
    create_table,
    quoted,
    same,
)
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.marts.definitions import Mart, marts


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates every mart, empty, typed and described; needs the staging tables."""
    connection.execute("CREATE SCHEMA marts")
    for mart in marts().values():
        found = columns_of(connection, mart.query)
        if found != mart.types:
            differ = sorted({*found.items()} ^ {*mart.types.items()}) or "their order"
            raise LedgerError(f"mart {mart.name}: query.sql and schema.yaml differ in {differ}")
        if mart.view:
            connection.execute(f"CREATE VIEW {mart.table} AS {mart.query}")
        else:
            create_table(connection, mart.table, mart.types)
        comment(connection, "VIEW" if mart.view else "TABLE", mart.table, mart.description)
        comment_columns(connection, mart.table, {column.name: column.description for column in mart.columns})


def refresh_whole(connection: duckdb.DuckDBPyConnection, mart: Mart) -> None:
    """Rebuilds a mart from all rows of its inputs."""
    if not mart.view:
        connection.execute(f"DELETE FROM {mart.table}")
        connection.execute(f"INSERT INTO {mart.table} {mart.query}")


def _columns(names: Iterable[str], table: str = "") -> str:
    return ", ".join(f"{table}.{quoted(name)}" if table else quoted(name) for name in names)


def _kept(label: str) -> str:
    """The table in which the delta keeps something."""
    return f"delta.main.{quoted(label)}"


def _builds_on_staging(mart: Mart) -> bool:
    """Whether every input is a staging table, or a mart of the same keys of which that holds."""
    above = [marts()[name.removeprefix("marts.")] for name in mart.inputs if name.startswith("marts.")]
    return all(other.rebuild_by == mart.rebuild_by and _builds_on_staging(other) for other in above)


def _staging_behind(keys: tuple[str, ...]) -> list[str]:
    """The staging tables that marts rebuilt by these keys read."""
    inputs = {name for mart in marts().values() if mart.rebuild_by == keys and not mart.view for name in mart.inputs}
    return sorted(name for name in inputs if name.startswith("staging."))


class Delta:
    """The rows that changed since the last build, and the marts that follow from them."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, rows_before: Mapping[str, int], replaced: Iterable[str]
    ) -> None:
        """`rows_before`: rows of staging tables at the last build; those behind them are new.

        `replaced`: the other staging tables that are not what they were.
        """
        self._connection = connection
        self._changed = {*replaced}
        self._made: set[str] = set()
        self._shown: dict[str, str] = {}
        for statement in ("ATTACH ':memory:' AS delta", *(f"CREATE SCHEMA delta.{s}" for s in ("staging", "marts"))):
            connection.execute(statement)
        for name, rows in rows_before.items():
            if count(connection, f"staging.{name}") > rows:
                self._changed.add(f"staging.{name}")
            keys = self._keys_asked_of(f"staging.{name}")
            if keys:
                self._run(
                    f"CREATE TABLE {_kept(f'changed staging.{name}')} AS "
                    f"SELECT DISTINCT {_columns(keys)} FROM {BUILD}.staging.{name} WHERE rowid >= ?",
                    [rows],
                )

    def close(self) -> None:
        """Forgets the delta."""
        self._connection.execute(f"USE {BUILD}")
        self._connection.execute("DETACH delta")

    def refresh(self, mart: Mart) -> None:
        """Rebuilds the touched keys of a mart, or all of it where it can't be split and an input changed."""
        changed = not self._changed.isdisjoint(mart.inputs)
        if changed:
            self._changed.add(mart.table)
        if not mart.rebuild_by or mart.view:
            if changed:
                refresh_whole(self._connection, mart)
            return
        label = self._touched(mart)
        for name in mart.inputs:
            self._restrict(name, mart.rebuild_by, label)
        touched = _kept(label)
        rows_changed = _kept(f"changed {mart.table}")
        asked = self._keys_asked_of(mart.table)
        hit = same("mart", "touched", mart.rebuild_by)
        if asked:
            self._run(
                f"CREATE TABLE {rows_changed} AS SELECT DISTINCT {_columns(asked, 'mart')} "
                f"FROM {BUILD}.{mart.table} AS mart SEMI JOIN {touched} AS touched ON {hit}"
            )
        self._run(f"DELETE FROM {BUILD}.{mart.table} AS mart USING {touched} AS touched WHERE {hit}")
        self._run("USE delta")
        self._run(f"INSERT INTO {BUILD}.{mart.table} {mart.query}")
        self._run(f"USE {BUILD}")
        if asked:
            self._run(
                f"INSERT INTO {rows_changed} SELECT DISTINCT {_columns(asked, 'mart')} "
                f"FROM {BUILD}.{mart.table} AS mart SEMI JOIN {touched} AS touched ON {hit}"
            )

    @contextmanager
    def only_touched(self, mart: Mart) -> Generator[None]:
        """Within the block the mart and its inputs, by their names, are the rows of the touched keys alone."""
        label = self._touched(mart)
        for name in mart.inputs:
            # A view's touched keys may be most of all keys, and its rules read few of the columns: rows aren't copied.
            self._restrict(name, mart.rebuild_by, label, copied=not mart.view)
        try:
            self._run("USE delta")
            if mart.view:
                self._show(mart.table, mart.query)
            else:
                self._restrict(mart.table, mart.rebuild_by, label)
            yield
        finally:
            self._run(f"USE {BUILD}")

    def _run(self, statement: str, parameters: Sequence[object] | None = None) -> None:
        self._connection.execute(statement, parameters)

    def _keys_asked_of(self, table: str) -> list[str]:
        """The columns by which marts that read the table are rebuilt, or judged."""
        asked = (mart.rebuild_by for mart in marts().values() if table in mart.inputs)
        return sorted({column for columns in asked for column in columns})

    def _touched(self, mart: Mart) -> str:
        """Label of the key values to rebuild or to judge: those of every changed row of any input."""
        # Marts of the same keys that build on staging tables only share the table, and so the restricted inputs.
        shared = _builds_on_staging(mart) and not mart.view
        sources = _staging_behind(mart.rebuild_by) if shared else mart.inputs
        touched = f"touched {'by staging' if shared else mart.name}, {' '.join(mart.rebuild_by)}"
        keys = _columns(mart.rebuild_by)
        union = " UNION ".join(f"SELECT {keys} FROM {_kept(f'changed {source}')}" for source in sources)
        self._keep(_kept(touched), union)
        return touched

    def _restrict(self, name: str, keys: tuple[str, ...], touched: str, *, copied: bool = True) -> None:
        """Lets the name mean, in catalog `delta`, only the rows of the touched keys."""
        found = f"{BUILD}.{name} AS source SEMI JOIN {_kept(touched)} AS touched ON {same('source', 'touched', keys)}"
        rows = f"SELECT source.* FROM {found}"
        if name.startswith("staging."):
            # Several marts and rules read these more than once; of a mart only the columns asked for are fetched.
            # By row id, so that of all rows only the keys are read: a fifth of the time for a day in a year.
            kept = _kept(f"{'rows' if copied else 'row ids'} of {name} of {touched}")
            ids = f"SELECT source.rowid AS id FROM {found}"
            by_id = f"SELECT * FROM {BUILD}.{name} WHERE rowid IN"
            self._keep(kept, f"{by_id} ({ids})" if copied else ids)
            rows = f"SELECT * FROM {kept}" if copied else f"{by_id} (SELECT id FROM {kept})"
        self._show(name, rows)

    def _keep(self, table: str, query: str) -> None:
        """Keeps a query's rows in a table of the delta, once."""
        if table not in self._made:
            self._made.add(table)
            self._run(f"CREATE TABLE {table} AS {query}")

    def _show(self, name: str, query: str) -> None:
        """Lets a name in catalog `delta` mean a query's rows."""
        if self._shown.get(name) != query:
            self._shown[name] = query
            self._run(f"CREATE OR REPLACE VIEW delta.{name} AS {query}")
