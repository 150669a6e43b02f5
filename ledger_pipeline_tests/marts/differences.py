"""Compares two builds row by row: their bytes differ even when they are equal."""

from pathlib import Path

import duckdb


def differences(left: Path, right: Path) -> dict[str, str]:
    """What differs between the marts of two builds, by table: columns, or rows that only one of them has."""
    found: dict[str, str] = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{left}' AS l (READ_ONLY)")
        connection.execute(f"ATTACH '{right}' AS r (READ_ONLY)")
        columns = "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE database_name = ?"
        tables = [set(connection.execute(columns, [name]).fetchall()) for name in ("l", "r")]
        if tables[0] != tables[1]:
            found["columns"] = str(tables[0] ^ tables[1])
        names = sorted(
            f"{schema}.{name}"
            for schema, name in connection.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'l' "
                "UNION SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'l' AND NOT internal"
            ).fetchall()
            if name != "build"
        )
        for name in names:
            for one, other in (("l", "r"), ("r", "l")):
                rows = connection.execute(f"FROM {one}.{name} EXCEPT ALL FROM {other}.{name}").fetchall()
                if rows:
                    found[f"{name}, only in {one}"] = f"{len(rows)} rows, such as {rows[0]}"
        found |= {} if names else {"tables": "there are none"}
    return found
