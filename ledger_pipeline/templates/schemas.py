"""JSON Schemas (Draft 2020-12) of parameters, outputs and people's inputs, and the short form of the first two."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema_specifications import REGISTRY
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ledger_pipeline.errors import Fault
from ledger_pipeline.templates.form import shown

_META = Draft202012Validator(
    Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER, registry=REGISTRY
)
_DATA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})
KEYWORDS = frozenset(
    name
    for vocabulary in ("core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content")
    for name in REGISTRY.contents(f"https://json-schema.org/draft/2020-12/meta/{vocabulary}")["properties"]  # type: ignore[index]
)


def validator(schema: Any) -> Draft202012Validator:
    """A validator that looks up references in the schema itself and nowhere else: never over the network."""
    return Draft202012Validator(schema, registry=REGISTRY)


def referred(schema: Any, reference: str) -> Any:
    """What a reference in a schema leads to, in itself and nowhere else; raises Unresolvable."""
    resolver = REGISTRY.resolver_with_root(Resource(contents=schema, specification=DRAFT202012))
    return resolver.lookup(reference).contents


def is_short_form(given: Any) -> bool:
    """Whether this is the short form, a schema for each name (`{"vm_name": {"type": "string", "required": true}}`).

    It is a JSON Schema when it has a `type`, a `$` keyword or `properties` as JSON Schema has them, or nothing but
    keywords whose values are not all objects.
    """
    if not isinstance(given, Mapping) or not given:
        return False
    properties = given.get("properties")
    looks_like_schema = (
        isinstance(given.get("type"), (str, list))
        or any(key.startswith("$") for key in given)
        or (
            isinstance(properties, Mapping) and all(isinstance(value, (Mapping, bool)) for value in properties.values())
        )
        or (KEYWORDS.issuperset(given) and not all(isinstance(value, Mapping) for value in given.values()))
    )
    return not looks_like_schema


def as_schema(given: Any) -> Any:
    """The JSON Schema that parameters or outputs mean, whichever form they have; what isn't named in it is allowed."""
    if not is_short_form(given):
        return given
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, schema in given.items():
        flag = schema.get("required") if isinstance(schema, Mapping) else None
        if isinstance(flag, bool):
            properties[name] = {key: value for key, value in schema.items() if key != "required"}
            required += [name] * flag
        else:
            properties[name] = schema
    return {"type": "object", "properties": properties, "required": required}


def parameter_faults(given: Any, where: str) -> list[Fault]:
    """What is wrong with parameters or outputs, at the place in the form in which they were written."""
    if not isinstance(given, (Mapping, bool)):
        return []  # a fault of form
    short = is_short_form(given)
    schema = as_schema(given)
    faults = schema_faults(schema, where)
    if not short and isinstance(schema, Mapping) and schema.get("type", "object") != "object":
        faults.append(Fault(f"{where}.type", f"is {shown(schema['type'])}", "object: parameters have names"))
    # The short form has no level for `properties`.
    return (
        [Fault(f.where.replace(f"{where}.properties", where, 1), f.what, f.allowed) for f in faults]
        if short
        else faults
    )


def schema_faults(schema: Any, where: str) -> list[Fault]:
    """What is wrong with a JSON Schema: its form, references that lead nowhere, defaults that it refuses itself."""
    if not isinstance(schema, (Mapping, bool)):
        return [Fault(where, f"is {shown(schema)}", "a JSON Schema: an object, true or false")]
    faults = [_meta_fault(error, where) for error in _META.iter_errors(schema)]
    if faults or isinstance(schema, bool):
        return faults
    for place, part in _subschemas(schema, where):
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword)
            if isinstance(reference, str):
                try:
                    referred(schema, reference)
                except Unresolvable:
                    allowed = "a place in this schema, such as #/$defs/name"
                    faults.append(Fault(f"{place}.{keyword}", f"{shown(reference)} leads nowhere", allowed))
    try:
        return faults or _default_faults(schema, where)
    except RecursionError:
        return [Fault(where, "refers to itself without end", "a reference to itself below a property or an item")]


def _default_faults(schema: Mapping[str, Any], where: str) -> list[Fault]:
    whole = validator(schema)
    # Also finds a schema that refers to itself on the spot: no value would ever be judged.
    any(whole.iter_errors({}))
    # Parts are judged through the whole schema, so that their references are looked up at its root.
    return [
        schema_fault(error, f"{place}.default")
        for place, part in _subschemas(schema, where)
        if "default" in part
        for error in whole.descend(part["default"], part)
    ]


def _meta_fault(error: ValidationError, where: str) -> Fault:
    fault = schema_fault(error, where)
    # The meta-schema says it in a way that no message can quote.
    kinds = "array, boolean, integer, null, number, object, string, or a list of those"
    return replace(fault, what=f"is {shown(error.instance)}", allowed=kinds) if fault.where.endswith(".type") else fault


def _subschemas(schema: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(schema, Mapping):
        yield where, schema
        for key, value in schema.items():
            if key not in _DATA_KEYWORDS:
                yield from _subschemas(value, f"{where}.{key}")
    elif isinstance(schema, (list, tuple)):
        for index, value in enumerate(schema):
            yield from _subschemas(value, f"{where}[{index}]")


def schema_fault(error: ValidationError, where: str) -> Fault:
    """What a validator found, as a fault with the place of the value."""
    place = where + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    keyword = str(error.validator)
    rule: Any = error.validator_value
    value: Any = error.instance
    match keyword:
        case "required":
            missing = next(iter(name for name in rule if f"'{name}'" in error.message), "")
            return Fault(f"{place}.{missing}", "is missing", "it is required")
        case "type":
            allowed = rule if isinstance(rule, str) else ", ".join(map(str, rule))
            return Fault(place, f"is {shown(value)}", allowed)
        case "enum":
            return Fault(place, f"is {shown(value)}", ", ".join(str(item) for item in rule))
        case (
            "const"
            | "pattern"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "multipleOf"
            | "format"
        ):
            return Fault(place, f"is {shown(value)}", f"{keyword} {rule}")
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties":
            return Fault(place, f"has {len(value)}", f"{keyword} {rule}")
        case _:
            message = error.message if len(error.message) <= 200 else error.message[:200] + "…"
            return Fault(place, message, "" if rule is False else f"what {keyword} says")
