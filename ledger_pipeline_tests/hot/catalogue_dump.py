"""The ledger's schemas as the catalogue describes them, to be compared: no object ids, no names of a moment."""

from typing import LiteralString

from ledger_pipeline.hot.database import Connection

Dump = dict[str, set[tuple[str, ...]]]

_QUERIES: dict[str, LiteralString] = {
    "relations": """
        SELECT c.oid::regclass::text, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity,
            c.reloptions::text,
            pg_get_userbyid(c.relowner),
            CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
            pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
            ARRAY(SELECT a::text FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) a ORDER BY 1)::text
        FROM pg_class c
        WHERE c.relnamespace::regnamespace::text LIKE 'ledger%' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c')
    """,
    "columns": """
        SELECT c.oid::regclass::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
            pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text,
            rank() OVER (PARTITION BY c.oid ORDER BY a.attnum),
            ARRAY(SELECT g::text FROM unnest(a.attacl) g ORDER BY 1)::text
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace::regnamespace::text LIKE 'ledger%' AND c.relkind IN ('r', 'p', 'v', 'm', 'c')
    """,
    "constraints": """
        SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.convalidated
        FROM pg_constraint c
        WHERE c.connamespace::regnamespace::text LIKE 'ledger%' AND c.contype <> 'n'
    """,
    "indexes": """
        SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE c.relnamespace::regnamespace::text LIKE 'ledger%'
    """,
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace::regnamespace::text LIKE 'ledger%' AND NOT t.tgisinternal
    """,
    "policies": """
        SELECT p.schemaname || '.' || p.tablename, p.policyname, p.permissive, p.roles::text, p.cmd, p.qual,
            p.with_check
        FROM pg_policies p
        WHERE p.schemaname LIKE 'ledger%'
    """,
    "functions": """
        SELECT p.oid::regprocedure::text, p.prokind, pg_get_userbyid(p.proowner),
            CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE g.aggtransfn::text END,
            ARRAY(SELECT a::text FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a ORDER BY 1)::text
        FROM pg_proc p LEFT JOIN pg_aggregate g ON g.aggfnoid = p.oid
        WHERE p.pronamespace::regnamespace::text LIKE 'ledger%'
    """,
    "types": """
        SELECT t.typnamespace::regnamespace::text || '.' || t.typname, t.typtype, pg_get_userbyid(t.typowner),
            ARRAY(SELECT e.enumlabel FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)::text,
            ARRAY(SELECT a::text FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) a ORDER BY 1)::text
        FROM pg_type t
        WHERE t.typnamespace::regnamespace::text LIKE 'ledger%'
    """,
    "comments": """
        SELECT d.classoid::regclass::text, pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description
        FROM pg_description d
        WHERE (pg_identify_object(d.classoid, d.objoid, d.objsubid)).schema LIKE 'ledger%'
    """,
    "privileges": """
        SELECT n.nspname, pg_get_userbyid(n.nspowner), ARRAY(SELECT a::text FROM unnest(n.nspacl) a ORDER BY 1)::text
        FROM pg_namespace n WHERE n.nspname LIKE 'ledger%'
        UNION ALL
        SELECT 'default', d.defaclrole::regrole::text, d.defaclobjtype::text || d.defaclacl::text
        FROM pg_default_acl d
    """,
}


def catalogue(connection: Connection) -> Dump:
    """Everything that the ledger's schemas consist of: tables, columns, constraints, code, policies and grants."""
    dump: Dump = {}
    for kind, query in _QUERIES.items():
        rows = connection.execute(query).fetchall()
        # Columns without a name of their own would share a key of a dict.
        dump[kind] = {tuple(str(value) for value in row.values()) for row in rows}
    return dump


def difference(before: Dump, after: Dump, kept: frozenset[str] = frozenset()) -> list[str]:
    """What was lost and what is new, a line each; without what belongs to the tables of `kept`."""
    lines: list[str] = []
    for kind in before:
        for sign, rows in (("-", before[kind] - after[kind]), ("+", after[kind] - before[kind])):
            lines += [f"{sign} {kind}: {' | '.join(row)}" for row in sorted(rows) if not _belongs(row, kept)]
    return lines


def _belongs(row: tuple[str, ...], kept: frozenset[str]) -> bool:
    """Whether a line describes a table, its row or array type, or something on it."""
    of, about = row[0].removeprefix("ledger.").removeprefix("_"), row[1].replace("ledger.", "")
    return any(of == name or f"table {name}" in about for name in kept)
