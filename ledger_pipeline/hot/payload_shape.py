"""SQL that judges the shape of a payload as the event classes do, derived from the catalogue.

A row that comes by SQL has passed no event class. What append let through, the fold would read otherwise than the
projections do: the rows would differ from their replay for good.
"""

from typing import get_args

from pydantic.fields import FieldInfo

from ledger_pipeline.events.catalogue import EVENT_TYPES, Event, JsonObject, PlanStep, payload_members
from ledger_pipeline.events.enums import StepType


def _object_rule(name: str, field: FieldInfo) -> str:
    found = f"jsonb_typeof(payload -> '{name}')"
    if field.is_required():
        found = f"coalesce({found}, 'missing')"
    return f"CASE WHEN {found} <> 'object' THEN 'payload.{name}: must be an object' END"


def _rule(name: str, field: FieldInfo) -> str | None:
    if field.annotation == JsonObject:
        return _object_rule(name, field)
    arguments = get_args(field.annotation)
    if PlanStep not in arguments:
        return None
    entries = f"payload -> '{name}'"
    if type(None) in arguments:  # one entry, or none
        entries = f"CASE WHEN jsonb_typeof({entries}) <> 'null' THEN jsonb_build_array({entries}) END"
    return f"plan_fault('{name}', {entries})"


def _rules(event_class: type[Event]) -> list[str]:
    members = payload_members(event_class)
    rules = (_rule(name, field) for name, field in event_class.model_fields.items() if name in members)
    return [rule for rule in rules if rule]


def payload_cases() -> str:
    """The WHEN branches of `payload_fault`, one for each event type that declares a shape."""
    cases: list[str] = []
    for name, event_class in EVENT_TYPES.items():
        if rules := _rules(event_class):
            joined = ",\n            ".join(rules)
            cases.append(f"WHEN '{name}' THEN coalesce(\n            {joined})")
    return "\n        ".join(cases)


def step_types() -> str:
    """The kinds of steps as SQL literals."""
    return ", ".join(f"'{kind.value}'" for kind in StepType)
