"""Runs the rules that a build must keep before anyone sees it."""

# ruff: noqa: S608  names of tables and columns are our own; values are parameters

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import duckdb

from ledger_pipeline.engines.duckdb.session import another_session
from ledger_pipeline.engines.duckdb.tables import dict_rows, quoted
from ledger_pipeline.errors import ReconciliationFailed
from ledger_pipeline.marts.definitions import Check, Mart, marts
from ledger_pipeline.marts.refresh import Delta


@dataclass(frozen=True)
class CheckResult:
    """How many rows break a rule of a mart, and the first of them."""

    mart: str
    rule: str
    warning: bool
    broken_by: int
    first: dict[str, Any] | None

    @property
    def passed(self) -> bool:
        """Whether no row breaks the rule."""
        return self.broken_by == 0


def _grain(mart: Mart) -> Check:
    keys = ", ".join(map(quoted, mart.grain))
    query = f"SELECT {keys}, count(*) AS rows FROM {mart.table} GROUP BY {keys} HAVING count(*) > 1"
    # A view's rows are made of the touched keys' rows, whatever its own grain.
    by_key = bool(mart.rebuild_by) and (mart.view or {*mart.rebuild_by} <= {*mart.grain})
    return Check(f"One row for each {', '.join(mart.grain)}.", query, by_key=by_key)


def checks_of(mart: Mart) -> tuple[Check, ...]:
    """The mart's own checks and the one of its grain."""
    return (_grain(mart), *mart.checks)


def run_checks(connection: duckdb.DuckDBPyConnection, delta: Delta | None = None) -> Iterator[CheckResult]:
    """Judges every rule of every mart on the build that the session has open.

    After a delta, rules that are kept by key are judged of what it touched: the rest is as it was judged before.
    """
    if delta is None:
        for mart in marts().values():
            yield from (_judge(connection, mart, check) for check in checks_of(mart))
        return
    # The session is closed once the thread has ended, also where a rule fails.
    with another_session(connection) as other, ThreadPoolExecutor(1, "whole") as beside:
        whole = {
            mart.name: [beside.submit(_judge, other, mart, check) for check in checks_of(mart) if not check.by_key]
            for mart in marts().values()
        }
        for mart in marts().values():
            yield from (judged.result() for judged in whole[mart.name])
            by_key = [check for check in checks_of(mart) if check.by_key]
            with delta.only_touched(mart) if by_key else nullcontext():
                yield from [_judge(connection, mart, check) for check in by_key]


def _judge(connection: duckdb.DuckDBPyConnection, mart: Mart, check: Check) -> CheckResult:
    cursor = connection.execute(check.query)
    first = next(iter(dict_rows(cursor, 1)), None)
    broken = 0 if first is None else 1
    while rows := cursor.fetchmany(10_000):
        broken += len(rows)
    return CheckResult(mart.name, check.rule, check.warning, broken, first)


def require(results: list[CheckResult]) -> None:
    """Raises ReconciliationFailed that names the first difference; the reconciliation's, when it has one.

    Warnings are left to whoever reads the results.
    """
    failed = sorted((r for r in results if not r.passed and not r.warning), key=lambda r: r.mart != "reconciliation")
    if failed:
        first = failed[0]
        row = ", ".join(f"{name}={value}" for name, value in (first.first or {}).items())
        raise ReconciliationFailed(
            f"the new marts break {len(failed)} of {len(results)} rules and were not published; first, of "
            f"{first.mart}: {first.rule} Broken by {first.broken_by} rows, such as {row}"
        )
