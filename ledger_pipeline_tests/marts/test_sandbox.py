"""`sql` answers questions about the marts and does nothing else."""

import csv
import io
import json
import shutil
from pathlib import Path

import duckdb
import pytest

from ledger_pipeline.errors import InvalidInput, NotFound
from ledger_pipeline.marts.build import build_from
from ledger_pipeline.marts.definitions import marts
from ledger_pipeline.marts.publish import connect_readonly, current
from ledger_pipeline.marts.sandbox import run_sql
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.marts.conftest import NOW
from ledger_pipeline_tests.marts.in_memory import InMemorySource, Row


@pytest.fixture(scope="module")
def published(history_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a home with published marts."""
    settings = Settings(home=tmp_path_factory.mktemp("published"))
    build_from(InMemorySource(history_rows), settings, NOW)
    return settings


REFUSED = [
    "DELETE FROM marts.executions",
    "UPDATE marts.budget_burn SET limit_usd = 0",
    "INSERT INTO marts.wasted_usage SELECT * FROM marts.wasted_usage",
    "DROP VIEW marts.cache_savings",
    "CREATE OR REPLACE VIEW marts.model_migration AS SELECT 1",
    "CREATE TABLE marts.mine (a integer)",
    "CREATE TEMP TABLE mine (a integer)",
    "DROP TABLE marts.executions",
    "WITH gone AS (DELETE FROM marts.executions RETURNING 1) SELECT * FROM gone",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "FROM '/etc/passwd'",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "COPY marts.executions TO '{folder}/out.csv'",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.duckdb'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET VARIABLE x = 1",
    "PRAGMA threads = 1",
    "PRAGMA database_size",
    "CALL enable_logging()",
    "SELECT * FROM enable_logging()",
    "CREATE SECRET (TYPE s3)",
    "USE staging",
    "BEGIN",
    "CHECKPOINT",
    "PREPARE p AS SELECT 1",
    "SELECT * FROM local_variable",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE marts.executions",
    "SELECT",
    "nonsense",
    "",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_whatever_is_no_question_is_refused_in_one_line(published: Settings, tmp_path: Path, statement: str) -> None:
    local_variable = [{"a": 1}]
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match=r"^sql: [^\n]+$"):
        run_sql(published, statement.replace("{folder}", str(tmp_path)))
    assert local_variable
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT count(*) FROM marts.executions",
        "FROM marts.cost_daily LIMIT 1",
        "DESCRIBE marts.model_usage",
        "SUMMARIZE marts.cost_daily",
        "SHOW ALL TABLES",
        "EXPLAIN SELECT * FROM marts.executions",
    ],
)
def test_questions_are_answered(published: Settings, statement: str) -> None:
    assert run_sql(published, statement)


HARMLESS = (
    "CREATE TEMP",
    "SET VARIABLE",
    "PRAGMA database_size",
    "USE",
    "BEGIN",
    "CHECKPOINT",
    "PREPARE",
    "SELECT 1; SEL",
)
"""What reaches nothing outside the session: refused by `sql`, though not by the connection."""


@pytest.mark.parametrize(
    "statement", [text for text in REFUSED if text and "{folder}" not in text and not text.startswith(HARMLESS)]
)
def test_the_connection_itself_lets_nothing_out(published: Settings, statement: str) -> None:
    with connect_readonly(published) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement)


def test_on_an_empty_ledger_every_mart_answers_with_its_columns_and_no_row(settings: Settings) -> None:
    build_from(InMemorySource(), settings, NOW)
    for mart in marts().values():
        assert run_sql(settings, f"SELECT * FROM {mart.table}", "csv") == ",".join(mart.types)
        assert json.loads(run_sql(settings, f"SELECT * FROM {mart.table}", "json")) == []


VALUES = """
SELECT DATE '2026-03-01' AS day, 0.10::DECIMAL(38, 12) AS usd, NULL AS nothing, 'a"b,c' AS text, 'nan'::DOUBLE AS n
"""


def test_csv_has_a_header_and_exact_decimals(published: Settings) -> None:
    rows = list(csv.reader(io.StringIO(run_sql(published, VALUES, "csv"))))
    assert rows == [["day", "usd", "nothing", "text", "n"], ["2026-03-01", "0.100000000000", "", 'a"b,c', "nan"]]


def test_json_keeps_decimals_as_strings(published: Settings) -> None:
    answer = json.loads(run_sql(published, VALUES, "json"))
    assert answer == [{"day": "2026-03-01", "usd": "0.100000000000", "nothing": None, "text": 'a"b,c', "n": "nan"}]


def test_json_refuses_two_columns_of_one_name(published: Settings) -> None:
    with pytest.raises(InvalidInput, match="two columns are named a"):
        run_sql(published, "SELECT 1 AS a, 2 AS a", "json")


def test_an_unknown_format_is_refused(published: Settings) -> None:
    with pytest.raises(InvalidInput, match="allowed: table, csv, json"):
        run_sql(published, "SELECT 1", "xml")


def test_without_marts_the_answer_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(NotFound, match="run `ledger-pipeline daily`"):
        run_sql(settings, "SELECT 1")


def test_a_file_that_is_no_build_is_named(settings: Settings) -> None:
    settings.marts_dir.mkdir()
    (settings.marts_dir / "current.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(InvalidInput, match=r"these marts can't be read .* run `ledger-pipeline daily`"):
        connect_readonly(settings)


def of_another_version(published: Settings, home: Path, change: str) -> Settings:
    """Settings of a home whose marts lack something that this version has."""
    other = Settings(home=home)
    other.marts_dir.mkdir()
    path = other.marts_dir / "current.duckdb"
    shutil.copyfile(current(published), path)
    with duckdb.connect(str(path)) as opened:
        opened.execute(change)
    return other


@pytest.mark.parametrize(
    ("change", "question", "says"),
    [
        (
            "DROP VIEW marts.cache_savings",
            "SELECT * FROM marts.cache_savings",
            "these marts were built by another version, which has no mart cache_savings: run `ledger-pipeline daily`",
        ),
        (
            "ALTER TABLE marts.wasted_usage DROP COLUMN reason",
            "SELECT reason FROM marts.wasted_usage",
            "built by another version, which has no column reason of mart wasted_usage: run `ledger-pipeline daily`",
        ),
    ],
)
def test_marts_of_another_version_are_named(
    published: Settings, tmp_path: Path, change: str, question: str, says: str
) -> None:
    other = of_another_version(published, tmp_path, change)
    assert run_sql(other, "SELECT count(*) FROM marts.executions")
    with pytest.raises(InvalidInput, match=says):
        run_sql(other, question)


def test_a_mart_that_no_version_has_is_simply_not_there(published: Settings) -> None:
    with pytest.raises(InvalidInput, match=r"^sql: Catalog Error: .* profits does not exist"):
        run_sql(published, "SELECT * FROM marts.profits")
