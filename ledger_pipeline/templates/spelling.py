"""Both spellings of a definition, `agentId` and `agent_id`, as one; what lies inside free data is left alone."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from ledger_pipeline.errors import Fault
from ledger_pipeline.events.enums import StepType
from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.positions import TARGETS
from ledger_pipeline.templates.steps import NAME_PATTERN, STEP_CLASSES

_TOP_LEVEL = {to_camel(name): name for name in Definition.model_fields}
_STEP = {to_camel(name): name for model in STEP_CLASSES.values() for name in model.model_fields}


def normalise(document: Mapping[str, Any], faults: list[Fault], warnings: list[Fault]) -> dict[str, Any]:
    """The document in snake_case, a step without a type made an action; adds what it finds to faults and warnings.

    A name is snake_case: calls and links use it. A document without a title whose name is written for people ('Code
    Review Workflow') keeps it as its title, and is named `code_review_workflow`; a warning says so.
    """
    plain = _snake(document, _TOP_LEVEL, "", faults)
    name, title = plain.get("name"), plain.get("title")
    if isinstance(name, str) and title is None and not re.match(NAME_PATTERN, name):
        derived = re.sub(r"[\s-]+|(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).lower()
        if re.match(NAME_PATTERN, derived):
            plain["name"], plain["title"] = derived, name
            warnings.append(Fault("name", f"{name!r} is not snake_case: kept as the title, the name is {derived!r}"))
    return _with_steps(plain, "", faults)


def _with_steps(holder: dict[str, Any], where: str, faults: list[Fault]) -> dict[str, Any]:
    if isinstance(holder.get("steps"), (list, tuple)):
        holder["steps"] = [_step(step, f"{where}steps[{index}]", faults) for index, step in enumerate(holder["steps"])]
    return holder


def _step(given: Any, where: str, faults: list[Fault]) -> Any:
    if not isinstance(given, Mapping):
        return given
    step = _snake(given, _STEP, where + ".", faults)
    step.setdefault("type", str(StepType.ACTION))
    for field in TARGETS:
        step[field] = _step(step[field], f"{where}.{field}", faults) if field in step else None
        if step[field] is None:
            del step[field]
    return _with_steps(step, where + ".", faults)


def _snake(given: Mapping[str, Any], names: Mapping[str, str], where: str, faults: list[Fault]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in given.items():
        name = names.get(key, key)
        if name in plain:
            faults.append(Fault(f"{where}{key}", f"{name} is given twice, in two spellings", "one of them"))
        plain[name] = value
    return plain
