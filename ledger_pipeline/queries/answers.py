"""`Queries`: every answer of the store, as methods of one object."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar
from uuid import UUID

from typing_extensions import Unpack

from ledger_pipeline.arguments import filters_of, id_of
from ledger_pipeline.errors import PermissionDenied
from ledger_pipeline.hot.database import Connection, translated
from ledger_pipeline.marts.publish import as_of_this_version, connect_readonly
from ledger_pipeline.pages import DEFAULT_PAGE_SIZE, Page, Request
from ledger_pipeline.queries import audit as audits
from ledger_pipeline.queries import executions as of_executions
from ledger_pipeline.queries import history as histories
from ledger_pipeline.queries import running as of_running
from ledger_pipeline.queries.audit import AuditEntry, ErrorEntry
from ledger_pipeline.queries.executions import ExecutionSummary
from ledger_pipeline.queries.filters import (
    ArtifactFilters,
    AuditFilters,
    BillingFilters,
    CostFilters,
    ErrorFilters,
    ExecutionFilters,
    MetricFilters,
    RunningFilters,
)
from ledger_pipeline.queries.from_marts import (
    BILLING,
    COST_BY_MODE,
    METRICS,
    BillingRecord,
    MartAnswer,
    Metric,
    ModeCost,
    PageAsOf,
)
from ledger_pipeline.queries.history import Artifact, ExecutionHistory
from ledger_pipeline.queries.running import RunningExecution
from ledger_pipeline.queries.statistics import UserStatistics, user_statistics
from ledger_pipeline.settings import Settings

T = TypeVar("T")


class Queries:
    """The answers, over all of history: the same before and after a roll and a prune.

    Lists come in pages of 1 to 500 items; a page's `next_cursor` asks for the next with the same filters. A wrong
    filter, cursor, page size or id raises InvalidInput. Each answer uses a connection of its own, so one object serves
    several threads.

    A session that acts for one user is answered for the drives that the user may read: hot rows as the database's
    policies show them, what is in files and marts by the same drives. What is summed over every drive (cost by mode,
    billing, metrics) is refused with PermissionDenied.
    """

    def __init__(self, settings: Settings, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        """`connect` opens an autocommitting connection to the hot store, whose rights decide what is seen of it."""
        self._settings = settings
        self._connect = connect

    def executions(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[ExecutionFilters]
    ) -> Page[ExecutionSummary]:
        """Executions, those that have not started first, then by start, newest first."""
        given = filters_of("executions", ExecutionFilters, filters)
        request = Request.of("executions", given, cursor, page_size, of_executions.KEY)
        with self._reading() as connection:
            return of_executions.executions(connection, self._marts, request)

    def running(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[RunningFilters]
    ) -> Page[RunningExecution]:
        """Executions that run now with their templates, newest start first."""
        given = filters_of("running", RunningFilters, filters) | {"status": "running"}
        request = Request.of("running", given, cursor, page_size, of_executions.KEY)
        with self._reading() as connection:
            return of_running.running(connection, request)

    def execution(self, execution_id: UUID | str) -> ExecutionHistory:
        """One execution with its template, steps, calls, approvals, artifacts and log; raises NotFound."""
        wanted = id_of("execution_id", execution_id)
        with self._reading() as connection:
            return histories.execution_history(connection, self._settings.cold_dir, wanted)

    def artifacts(
        self,
        execution_id: UUID | str,
        *,
        cursor: str | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        **filters: Unpack[ArtifactFilters],
    ) -> Page[Artifact]:
        """An execution's artifacts by type and time; raises NotFound."""
        wanted = id_of("execution_id", execution_id)
        given = filters_of("artifacts", ArtifactFilters, filters)
        request = Request.of(f"artifacts of {wanted}", given, cursor, page_size, histories.ARTIFACT_KEY)
        with self._reading() as connection:
            return histories.artifacts(connection, self._settings.cold_dir, wanted, request)

    def audit(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[AuditFilters]
    ) -> Page[AuditEntry]:
        """Events of workflow executions, newest week first and in it by time; of one execution in their sequence."""
        given = filters_of("audit", AuditFilters, filters)
        if "execution" in given:
            request = Request.of("audit", given, cursor, page_size, audits.KEY_IN_EXECUTION)
            with self._reading() as connection:
                return audits.audit_of_execution(connection, self._settings.cold_dir, given["execution"], request)
        request = Request.of("audit", given, cursor, page_size, audits.KEY)
        with self._reading() as connection:
            return audits.audit(connection, self._settings.cold_dir, request)

    def errors(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[ErrorFilters]
    ) -> Page[ErrorEntry]:
        """Executions that failed, timed out or were aborted, and log entries of level error, in the audit's order."""
        request = Request.of("errors", filters_of("errors", ErrorFilters, filters), cursor, page_size, audits.KEY)
        with self._reading() as connection:
            return audits.errors(connection, self._settings.cold_dir, request)

    def statistics(self, user_id: UUID | str) -> UserStatistics:
        """What a user's executions did and spent; zeros for an unknown one."""
        wanted = id_of("user_id", user_id)
        with self._reading() as connection:
            return user_statistics(connection, self._marts, wanted)

    def cost_by_mode(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[CostFilters]
    ) -> PageAsOf[ModeCost]:
        """Cost by mode, user and month, as of the marts' last build; raises NotFound when there is none."""
        return self._from_marts(COST_BY_MODE, filters_of("cost_by_mode", CostFilters, filters), cursor, page_size)

    def billing(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[BillingFilters]
    ) -> PageAsOf[BillingRecord]:
        """What is billed, by period, customer, user and model, as of the marts' last build; NotFound likewise."""
        return self._from_marts(BILLING, filters_of("billing", BillingFilters, filters), cursor, page_size)

    def metrics(
        self, *, cursor: str | None = None, page_size: int = DEFAULT_PAGE_SIZE, **filters: Unpack[MetricFilters]
    ) -> PageAsOf[Metric]:
        """Metrics by type, period and user, as of the marts' last build; NotFound likewise."""
        return self._from_marts(METRICS, filters_of("metrics", MetricFilters, filters), cursor, page_size)

    def _from_marts(
        self, answer: MartAnswer[T], given: dict[str, Any], cursor: str | None, page_size: int
    ) -> PageAsOf[T]:
        request = Request.of(answer.name, given, cursor, page_size, answer.parts)
        with self._reading() as connection:
            _refuse_within_drives(connection, answer.name)
        with self._marts() as marts:
            return answer.page(marts, request)

    @contextmanager
    def _reading(self) -> Generator[Connection]:
        with translated(), self._connect() as connection:
            yield connection

    @contextmanager
    def _marts(self) -> Generator[Any]:
        with connect_readonly(self._settings) as marts, as_of_this_version(marts):
            yield marts


def _refuse_within_drives(connection: Connection, answer: str) -> None:
    row = connection.execute("SELECT readable_drives() IS NULL AS every").fetchone()
    if not (row and row["every"]):
        raise PermissionDenied(
            f"{answer}: is summed over every drive, and this session reads those of one user: ask the service"
        )
