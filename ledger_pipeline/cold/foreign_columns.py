"""Values where they do not belong: a column that another event type declares."""

from ledger_pipeline.events.catalogue import EVENT_TYPES, TYPE_COLUMNS, columns_of, typed_columns, versions_of


def foreign_expression() -> str:
    """SQL, of DuckDB and PostgreSQL alike: whether an event has a value in a column that its type does not declare.

    The canonical text holds a type's own columns only, those of the event's version, so the leaf would not show it.
    """
    owners: dict[str, list[str]] = {name: [] for name in TYPE_COLUMNS}
    in_part: dict[str, list[str]] = {name: [] for name in TYPE_COLUMNS}
    for event_type in EVENT_TYPES:
        versions = versions_of(event_type)
        declared: dict[str, list[str]] = {}
        for version, event_class in versions.items():
            for typed in typed_columns(event_class):
                declared.setdefault(typed.name, []).append(str(version))
        for name, of in declared.items():
            if len(of) == len(versions):
                owners[name].append(f"'{event_type}'")
            else:
                in_part[name].append(f"NOT (event_type = '{event_type}' AND event_version IN ({', '.join(of)}))")
    return " OR ".join(
        " AND ".join(
            [
                f"{column} IS NOT NULL",
                *([f"event_type NOT IN ({', '.join(owners[column])})"] if owners[column] else []),
                *in_part[column],
            ]
        )
        for column in TYPE_COLUMNS
    )


def hot_foreign_expression(event_type: str) -> str:
    """SQL of PostgreSQL: the same of one type's rows, which is known to be theirs."""
    versions = versions_of(event_type)
    own = columns_of(event_type)
    foreign = [name for name in TYPE_COLUMNS if name not in own]
    # A function takes a hundred arguments.
    counts = [f"num_nonnulls({', '.join(foreign[start : start + 100])})" for start in range(0, len(foreign), 100)]
    in_part = [
        f"event_version = {version} AND {column} IS NOT NULL"
        for version, event_class in versions.items()
        for column in own
        if column not in {typed.name for typed in typed_columns(event_class)}
    ]
    return " OR ".join([f"{' + '.join(counts)} > 0", *in_part])
