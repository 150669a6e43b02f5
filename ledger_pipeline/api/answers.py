"""What may be asked with `GET /api/workflow?type=…`, and the parameters of each type."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints
from uuid import UUID

from ledger_pipeline.errors import InvalidFilter, InvalidIdentifier
from ledger_pipeline.queries import filters
from ledger_pipeline.queries.answers import Queries

_PAGE = ("cursor", "page_size")


@dataclass(frozen=True)
class Answer:
    """A type: the method of `Queries` that answers it, its filters, and what it is `of` (an execution, a user), if one.

    Lists have filters and come in pages; what has none is one object.
    """

    method: str
    filters: type | None = None
    of: str | None = None

    @property
    def spellings(self) -> dict[str, str]:
        """What a parameter may be called, and the name that is meant: `user`, `user_id` and `userId` are one."""
        kinds = {self.of: UUID} if self.of else {}
        kinds |= get_type_hints(self.filters) if self.filters else {}
        kinds |= dict.fromkeys(_PAGE, str) if self.filters else {}
        spelled: dict[str, str] = {}
        for name, kind in kinds.items():
            for known_as in (name, f"{name}_id") if kind is UUID else (name,):
                spelled |= {known_as: name, _in_camel_case(known_as): name}
        return spelled


ANSWERS = {
    "executions": Answer("executions", filters.ExecutionFilters),
    "execution": Answer("execution", of="execution"),
    "artifacts": Answer("artifacts", filters.ArtifactFilters, of="execution"),
    "running": Answer("running", filters.RunningFilters),
    "audit": Answer("audit", filters.AuditFilters),
    "errors": Answer("errors", filters.ErrorFilters),
    "stats": Answer("statistics", of="user"),
    "cost-by-mode": Answer("cost_by_mode", filters.CostFilters),
    "billing": Answer("billing", filters.BillingFilters),
    "metrics": Answer("metrics", filters.MetricFilters),
}


def once(parameters: Iterable[tuple[str, Any]], spellings: Mapping[str, str], of: str) -> dict[str, Any]:
    """The parameters by the names that are meant; raises InvalidFilter for an unknown and for a repeated one."""
    given: dict[str, Any] = {}
    for name, value in parameters:
        if name not in spellings:
            allowed = ", ".join(dict.fromkeys(spellings.values()))
            raise InvalidFilter(f"{name[:80]!r}: not a parameter of {of}; allowed: {allowed}")
        meant = spellings[name]
        if meant in given:
            raise InvalidFilter(f"{name}: is given more than once; allowed: once, in one spelling")
        given[meant] = value
    return given


def ask(queries: Queries, parameters: list[tuple[str, str]], user: UUID | None) -> Any:
    """The answer of `Queries` to a request's parameters; `user` is whose statistics are meant where none are named."""
    types = [value for name, value in parameters if name == "type"]
    if len(types) != 1 or types[0] not in ANSWERS:
        given = repr(types[0][:80]) if len(types) == 1 else f"given {len(types)} times"
        raise InvalidFilter(f"type: is {given}; allowed: one of {', '.join(ANSWERS)}")
    answer = ANSWERS[types[0]]
    given = once([pair for pair in parameters if pair[0] != "type"], answer.spellings, f"type={types[0]}")
    if "page_size" in given:
        given["page_size"] = whole(given["page_size"])
    if answer.of is None:
        return getattr(queries, answer.method)(**given)
    wanted = given.pop(answer.of, user if answer.of == "user" else None)
    if wanted is None:
        raise InvalidIdentifier(f"{answer.of}_id: is missing; allowed: a UUID")
    return getattr(queries, answer.method)(wanted, **given)


def whole(text: str) -> int | str:
    """Digits as a number; whatever else as it is, for whoever judges it to name it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _in_camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
