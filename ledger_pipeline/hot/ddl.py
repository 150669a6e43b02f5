"""SQL derived from the catalogue: the event table, its types' constraints, the canonical text and the state rules.

`python -m ledger_pipeline.hot.ddl` writes the derived files of the newest migration; a test fails when they drift.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

from ledger_pipeline.events.catalogue import (
    CLIENT_COLUMNS,
    ENVELOPE,
    EVENT_COLUMNS,
    EVENT_TYPES,
    SERVER_COLUMNS,
    TYPE_COLUMNS,
    USAGE_KINDS,
    Event,
    TypedColumn,
    by_version,
    required_envelope,
    table_name,
    typed_columns,
)
from ledger_pipeline.events.columns import Column, ColumnKind
from ledger_pipeline.events.enums import DATABASE_ENUMS
from ledger_pipeline.events.row_faults import COLUMN_RULES, ColumnRule
from ledger_pipeline.events.states import RULES, ExecutionState, Rule
from ledger_pipeline.hot.migration_steps import SQL_FOLDER, functions_of
from ledger_pipeline.hot.payload_shape import payload_cases, step_types

TEMPLATE_FOLDER = Path(__file__).parent / "sql"

# Times are epoch microseconds, so that the text depends on no session setting; to_char likewise fixes the date.
_CANONICAL_SQL = {
    ColumnKind.TIMESTAMP: "(extract(epoch FROM {0}) * 1000000)::bigint::text",
    ColumnKind.DATE: "to_char({0}, 'YYYY-MM-DD')",
    ColumnKind.USD: "{0}::numeric(38,12)::text",
}


# What projections need of each stored event; in `_MOVE_SPECIAL` what is no column of it, as type and expression.
_MOVE = (
    *(
        "execution_id",
        "sequence",
        "event_type",
        "week",
        "recorded_at",
        "occurred_at",
        "execution_kind",
        "step_id",
        "call_id",
    ),
    *(
        "attempt",
        "agent_id",
        "agent_name",
        "operator_id",
        "decision",
        "next_attempt",
        "tool_name",
        "child_execution_id",
    ),
    *(
        "reason",
        "error_code",
        "error_message",
        "model",
        "model_call_id",
        "input_tokens",
        "output_tokens",
        "spent_tokens",
    ),
    *("cost_usd", "estimated_cost_usd", "summary", "payload"),
)
_MOVE_SPECIAL = {
    "spent_tokens": ("bigint", " + ".join(f"j.{kind}_tokens" for kind in USAGE_KINDS)),
    # JSON text: joined and parsed once for many events, it costs half of building an object each.
    "summary": (
        "text",
        """'{"sequence": ' || j.next_sequence || ', "event_type": "' || j.event_type || '", "occurred_at": "'
                || to_char(j.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}'""",
    ),
    "payload": (
        "json",
        """CASE WHEN j.event_type IN ('StepDispatched', 'StepCompleted', 'StepFailed', 'InputReceived',
                'ContextUpdated', 'WorkflowCompleted', 'WorkflowFailed') THEN j.payload::json END""",
    ),
}


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _literals(values: Iterable[str]) -> str:
    return ", ".join(_literal(value) for value in values)


def _array(values: Iterable[str]) -> str:
    return f"ARRAY[{_literals(values)}]::text[]"


def _checks(name: str, column: Column) -> list[str]:
    """Conditions on one column; each is NULL, so satisfied, when the column is NULL."""
    match column.kind:
        case ColumnKind.TEXT if column.values:
            return [f"{name} IN ({_literals(column.values)})"]
        case ColumnKind.TEXT:
            return [f"{name} <> ''", f"strpos({name}, chr(31)) = 0"]
        case ColumnKind.TIMESTAMP | ColumnKind.DATE if name != "week":
            # Within what every reader can represent: one event beyond would break each later scan.
            return [f"{name} >= '1970-01-01 00:00:00+00'", f"{name} < '9999-01-01 00:00:00+00'"]
        case _:
            bounds = [f"{name} >= {column.minimum}"] if column.minimum is not None else []
            return bounds + ([f"{name} <= {column.maximum}"] if column.maximum is not None else [])


def _conjunction(conditions: Iterable[str], indent: str = "    ") -> str:
    return f"\n{indent}AND ".join(conditions)


def enum_types() -> str:
    """The closed vocabularies as database types."""
    return "\n".join(
        f"CREATE TYPE {name} AS ENUM ({_literals(v.value for v in values)});" for name, values in DATABASE_ENUMS.items()
    )


def event_table() -> str:
    """`workflow_events`, partitioned by type, with the constraints of the envelope."""
    required = {*(name for name, typed in ENVELOPE.items() if typed.required), "payload", "leaf", "hash"}
    columns = ",\n".join(
        f"    {name} {kind.value}{' NOT NULL' if name in required else ''}" for name, kind in EVENT_COLUMNS.items()
    )
    checks = [c for name, typed in ENVELOPE.items() if name != "event_type" for c in _checks(name, typed.column)]
    checks += ["extract(isodow FROM week) = 1", "octet_length(leaf) = 32", "octet_length(hash) = 32"]
    checks += ["json_typeof(payload) = 'object'"]
    return (
        f"CREATE TABLE workflow_events (\n{columns},\n"
        f"    CONSTRAINT workflow_events_execution FOREIGN KEY (execution_id) REFERENCES execution_heads (id),\n"
        f"    CONSTRAINT workflow_events_envelope CHECK (\n        {_conjunction(checks, '        ')}\n    )\n"
        f") PARTITION BY LIST (event_type);"
    )


def type_table(event_class: type[Event]) -> str:
    """One type's table: obligatory columns, its own vocabularies and bounds, NULL for what belongs to other types."""
    own = typed_columns(event_class)
    names = {typed.name for typed in own}
    table = table_name(event_class.event_type)
    parts = [f"    {name} NOT NULL" for name in sorted(required_envelope(event_class))]
    parts += [f"    {typed.name} NOT NULL" for typed in own if typed.required]
    conditions = [condition for typed in own for condition in _checks(typed.name, typed.column)]
    foreign = [name for name in TYPE_COLUMNS if name not in names]
    conditions.append(f"num_nonnulls({', '.join(foreign)}) = 0")
    parts.append(f"    CONSTRAINT {table}_shape CHECK (\n        {_conjunction(conditions, '        ')}\n    )")
    body = ",\n".join(parts)
    return (
        f"CREATE TABLE {table} PARTITION OF workflow_events (\n{body}\n)\n"
        f"    FOR VALUES IN ({_literal(event_class.event_type)}) PARTITION BY RANGE (week);\n"
        f"CREATE UNIQUE INDEX {table}_sequence ON {table} (execution_id, sequence, week);\n"
        f"CREATE UNIQUE INDEX {table}_event ON {table} (event_id, week);"
    )


def _canonical_item(name: str, kind: ColumnKind) -> str:
    return _CANONICAL_SQL.get(kind, "{0}::text").format(f"(e).{name}")


def canonical_function() -> str:
    """`canonical_text(workflow_events)`: what a leaf hashes, the same text as `events.schema.canonical_text`."""
    envelope = ",\n            ".join(_canonical_item(name, typed.column.kind) for name, typed in ENVELOPE.items())

    def joined(columns: tuple[TypedColumn, ...]) -> str:
        items = ", ".join(_canonical_item(typed.name, typed.column.kind) for typed in columns)
        return f"array_to_string(ARRAY[{items}], chr(31), '') || chr(31)" if columns else "''"

    def cases(expression: Callable[[type[Event]], str]) -> str:
        return "\n".join(
            f"            WHEN {_literal(name)} THEN {by_version(name, '(e).event_version', expression)}"
            for name in EVENT_TYPES
        )

    profiles = cases(lambda event_class: f"'{event_class.profile}'")
    types = cases(lambda event_class: joined(typed_columns(event_class)))
    return f"""CREATE FUNCTION canonical_text(e workflow_events) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN array_to_string(ARRAY[
            CASE (e).event_type
{profiles}
            END,
            {envelope}
        ], chr(31), '')
        || chr(31)
        || CASE (e).event_type
{types}
        END
        || (e).payload::text;"""


def state_rules() -> str:
    """The state machine as rows, so that append can join it."""

    def row(event_type: str, rule: Rule) -> str:
        def text(value: StrEnum | None) -> str:
            return _literal(value.value) if value else "NULL"

        ordered = [state for state in ExecutionState if state in rule.execution_from]
        steps = sorted(status.value for status in rule.step_from)
        return (
            f"    ({_literal(event_type)}, {_array(ordered)}, {text(rule.execution_to)}, {_array(steps)}, "
            f"{text(rule.step_to)}, {text(rule.call)}, {text(rule.call_to)})"
        )

    rows = ",\n".join(row(event_type, rule) for event_type, rule in RULES.items())
    return (
        "INSERT INTO state_rules (event_type, execution_from, execution_to, step_from, step_to, call, call_to) VALUES\n"
        f"{rows};"
    )


def staging_table() -> str:
    """`append_staging`: what a client gives of an event, a row each; also the composite type of an append's array."""
    columns = ",\n".join(
        f"    {name} {'text' if name == 'payload' else EVENT_COLUMNS[name].value}" for name in CLIENT_COLUMNS
    )
    return (
        "CREATE UNLOGGED TABLE append_staging (\n    batch uuid,\n    ordinal bigint,\n"
        "    staged_at timestamptz DEFAULT clock_timestamp(),\n"
        f"{columns}\n);\nCREATE INDEX append_staging_batch ON append_staging (batch);"
    )


def events_sql() -> str:
    """The derived part of the schema: everything that follows from the catalogue alone."""
    header = "-- Derived from the event catalogue by ledger_pipeline.hot.ddl: change the catalogue, not this file."
    parts = [
        event_table(),
        *map(type_table, EVENT_TYPES.values()),
        canonical_function(),
        state_rules(),
        staging_table(),
    ]
    return "\n\n".join([header, *parts]) + "\n"


def append_sql() -> str:
    """The append functions with the catalogue's columns filled in."""
    template = (TEMPLATE_FOLDER / "append.sql").read_text()
    inherited = {
        *("workflow_name", "workflow_type", "template_id", "template_version", "mode"),
        *("drive_id", "customer_id", "user_id", "execution_kind"),
    }
    special = {
        "event_id": "coalesce(j.event_id, ledger.uuidv7(j.occurred_at))",
        "sequence": "j.next_sequence",
        "event_version": "coalesce(j.event_version, 1)",
        "week": "j.assigned_week",
        "epoch": "p_epoch",
        "tx": "p_tx",
        "recorded_at": "j.assigned_recorded_at",
        "agent_id": "coalesce(j.agent_id, j.step_agent_id, j.execution_agent_id)",
        "agent_name": "coalesce(j.agent_name, j.step_agent_name, j.execution_agent_name)",
        "step_name": "j.known_step_name",
        "attempt": "j.known_attempt",
        "payload": "coalesce(j.payload, '{}')::json",
    }
    names = [name for name in EVENT_COLUMNS if name not in ("leaf", "hash")]
    assigned = {
        name: special.get(name) or (f"j.execution_{name}" if name in inherited else f"j.{name}") for name in names
    }
    moves = {
        name: _MOVE_SPECIAL[name] if name in _MOVE_SPECIAL else (EVENT_COLUMNS[name].value, assigned[name])
        for name in _MOVE
    }
    filled = {
        "column_rules": column_rules(),
        "request_names": _literals(["ordinal", *COLUMN_RULES, *SERVER_COLUMNS]),
        "string_names": _literals(_names_of(ColumnKind.TEXT, ColumnKind.UUID, ColumnKind.TIMESTAMP)),
        "amount_names": _literals(_names_of(ColumnKind.USD)),
        "time_names": _literals(_names_of(ColumnKind.TIMESTAMP)),
        "payload_cases": payload_cases(),
        "step_types": step_types(),
        "event_row": ",\n                ".join(assigned.values()),
        "row_columns": ", ".join(f"d.{name}" for name in names),
        "row_names": ", ".join(names),
        "move_type": ",\n    ".join(f"{name} {kind}" for name, (kind, _) in moves.items()),
        "move_row": ",\n                ".join(expression for _, expression in moves.values()),
        "move_columns": ", ".join(moves),
    }
    for marker, text in filled.items():
        template = template.replace("/*" + marker + "*/", text)
    return template


def _names_of(*kinds: ColumnKind) -> list[str]:
    return [name for name, rule in COLUMN_RULES.items() if rule.column.kind in kinds]


def column_rules() -> str:
    """The rules of `events.row_faults` as rows, so that append can say what is wrong in the same words."""

    def types(named: frozenset[str]) -> str:
        return _array(name for name in EVENT_TYPES if name in named)

    def bound(value: object) -> str:
        return "NULL" if value is None else _literal(str(value))

    def row(nth: int, rule: ColumnRule) -> str:
        items = (
            str(nth),
            _literal(rule.name),
            _literal(rule.column.kind.value),
            "NULL" if len(rule.types) == len(EVENT_TYPES) else types(rule.types),
            types(rule.required_by),
            _array(rule.column.values) if rule.column.values and rule.name != "event_type" else "NULL",
            bound(rule.minimum),
            bound(rule.maximum),
            _literal(rule.allowed),
        )
        return f"({', '.join(items)})"

    return ",\n        ".join(row(nth, rule) for nth, rule in enumerate(COLUMN_RULES.values()))


def derived_files() -> dict[Path, str]:
    """Each derived file with its text; of append, the functions that the newest migration changes."""
    before = functions_of((SQL_FOLDER / "0003_10_append.sql").read_text())
    written = append_sql() + "\n" + (TEMPLATE_FOLDER / "project.sql").read_text()
    return {
        SQL_FOLDER / "0001_15_enums.sql": enum_types() + "\n",
        SQL_FOLDER / "0001_20_events.sql": events_sql(),
        SQL_FOLDER / "0004_10_append.sql": "\n".join(
            text for name, text in functions_of(written).items() if text != before.get(name)
        ),
    }


if __name__ == "__main__":
    for path, text in derived_files().items():
        path.write_text(text)
