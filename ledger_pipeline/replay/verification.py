"""What a verification finds: problems, each located, and the report that holds them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, at an event or in a file; `event_id` is missing only where the event itself is."""

    what: str
    event_id: str | None = None
    file: str | None = None


@dataclass(frozen=True)
class Report:
    """What was verified, and the problems found: at most one an execution, the first of it.

    `resumed_events` of the events were hashed by a run before, which was broken off.
    `removed` says what could not be judged because it was removed under retention, which is no problem.
    """

    events: int
    executions: int
    weeks: int
    checkpoints: int
    problems: list[Problem] = field(default_factory=list[Problem])
    removed: list[str] = field(default_factory=list[str])
    resumed_events: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def describe_fault(execution_id: str, sequence: int, fault: str, other: int | None) -> str:
    """The sentence for a fault of `first_faults.sql`."""
    where = f"execution {execution_id}, sequence {sequence}"
    match fault:
        case "altered":
            return f"{where}: its columns do not give its leaf: the event was changed"
        case "gap":
            after = "" if other is None else f": it follows sequence {other}"
            return f"{where}: the event before it is missing or stored twice{after}"
        case "unchained":
            return f"{where}: its hash does not follow from the event before it: one of the two was changed or moved"
        case "no head":
            return f"{where}: the execution has no head"
        case "head":
            return f"{where}: is the last event found, but the head says sequence {other} or another hash"
        case _:
            return f"execution {execution_id}: its head says {other} events, and there is none"


def describe_noted_fault(execution_id: str, sequence: int, batch: int, fault: str, other: int | None) -> str:
    """The sentence for a fault of `noted_faults.sql`."""
    match fault:
        case "gone":
            return f"execution {execution_id} is gone: when batch {batch} was closed it had {sequence} events"
        case "truncated":
            return (
                f"execution {execution_id} ends at sequence {other}: when batch {batch} was closed it had events up to "
                f"sequence {sequence}"
            )
        case "rewritten":
            return (
                f"execution {execution_id}, sequence {sequence}: its hash is another than when batch {batch} was "
                "closed: it, or an event before it, was rewritten"
            )
        case _:
            before = "none of it" if other is None else f"its events up to sequence {other}"
            return (
                f"execution {execution_id} has events up to sequence {sequence} in batch {batch}, which had {before} "
                "when it was closed: the others were inserted"
            )
