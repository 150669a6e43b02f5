"""The price tables: insert-only for everyone, and closed to what is no price."""

import psycopg
import pytest

from ledger_pipeline.hot.database import Connection

ROW = """
    INSERT INTO model_pricing (provider, model, usage_kind, usd_per_million, valid_from, known_from, source)
    VALUES ('acme', 'm', 'input', %(rate)s, %(valid_from)s, now(), %(source)s)
"""
GIVEN = {"rate": 1, "valid_from": "2026-01-01T00:00:00Z", "source": "list"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE model_pricing SET usd_per_million = 0",
        "DELETE FROM model_pricing",
        "TRUNCATE model_pricing",
        "TRUNCATE price_rules",
        "TRUNCATE price_sources",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_booked_price_is_never_changed_not_even_by_a_superuser(
    connection: Connection, statement: str, role: str
) -> None:
    connection.execute(ROW, GIVEN)
    connection.execute("SELECT set_config('session_replication_role', %s, false)", [role])
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="insert-only"):
        connection.execute(statement)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": -1},
        {"rate": "NaN"},
        {"rate": "1e10"},
        {"valid_from": "-infinity"},
        {"source": "admin"},
        {"source": ""},
    ],
)
def test_what_is_no_price_is_refused(connection: Connection, wrong: dict[str, object]) -> None:
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.NumericValueOutOfRange)):
        connection.execute(ROW, GIVEN | wrong)


def test_the_views_derive_where_a_price_and_its_knowledge_end(connection: Connection) -> None:
    for rate, valid_from, known_from in ((1, "2026-01-01Z", "2026-01-01Z"), (2, "2026-03-01Z", "2026-02-01Z")):
        connection.execute(
            """
            INSERT INTO model_pricing (provider, model, usage_kind, usd_per_million, valid_from, known_from, source)
            VALUES ('acme', 'm', 'input', %s, %s, %s, 'list')
            """,
            [rate, valid_from, known_from],
        )
    connection.execute(
        """
        INSERT INTO model_pricing (provider, model, usage_kind, usd_per_million, valid_from, known_from, source)
        VALUES ('acme', 'm', 'input', 3, '2026-01-01Z', '2026-05-01Z', 'list')
        """
    )
    known = connection.execute(
        "SELECT usd_per_million::int AS usd, known_to::date::text AS known_to FROM model_pricing_history "
        "WHERE provider = 'acme' ORDER BY usd"
    ).fetchall()
    valid = connection.execute(
        "SELECT usd_per_million::int AS usd, valid_to::date::text AS valid_to FROM current_model_pricing "
        "WHERE provider = 'acme' ORDER BY usd"
    ).fetchall()
    assert known == [
        {"usd": 1, "known_to": "2026-05-01"},
        {"usd": 2, "known_to": None},
        {"usd": 3, "known_to": None},
    ]
    assert valid == [{"usd": 2, "valid_to": None}, {"usd": 3, "valid_to": "2026-03-01"}]
