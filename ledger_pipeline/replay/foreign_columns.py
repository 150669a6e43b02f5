"""Values where they do not belong: a column that another event type declares."""

from ledger_pipeline.events.catalogue import EVENT_TYPES, TYPE_COLUMNS, typed_columns


def foreign_expression() -> str:
    """SQL, of DuckDB and PostgreSQL alike: whether an event has a value in a column that its type does not declare.

    The canonical text holds a type's own columns only, so the leaf would not show it.
    """
    owners: dict[str, list[str]] = {name: [] for name in TYPE_COLUMNS}
    for name, event_class in EVENT_TYPES.items():
        for typed in typed_columns(event_class):
            owners[typed.name].append(f"'{name}'")
    return " OR ".join(
        f"{column} IS NOT NULL AND event_type NOT IN ({', '.join(names)})" for column, names in owners.items()
    )
