"""Mart folders hold what the build and other engines need of them."""

from pathlib import Path

import pytest
import sqlglot

from ledger_pipeline.marts import definitions
from ledger_pipeline.marts.checks import checks_of
from ledger_pipeline.marts.definitions import Mart, marts, parse_checks
from ledger_pipeline.marts.source import MEASURES

EACH = pytest.mark.parametrize("mart", marts().values(), ids=lambda mart: mart.name)

PROMISED = {
    *("model_usage", "executions", "steps", "agent_calls", "approvals"),
    *("cost_daily", "cost_by_execution", "cost_by_mode", "daily_cost_summary", "user_workflow_summary"),
    *("billing_records", "observability_metrics"),
    *("wasted_usage", "cost_by_template_version", "cache_savings", "model_migration", "budget_burn"),
    *("approval_activity",),
    *("audit_log", "budget_breaches", "cost_anomalies", "unpriced_usage", "pricing_history", "reconciliation"),
}


def test_the_promised_marts_are_there() -> None:
    assert marts().keys() >= PROMISED


def test_a_mart_folder_holds_no_python() -> None:
    folders = [path.parent for path in Path(definitions.FOLDER).glob("*/query.sql")]
    assert [file for folder in folders for file in folder.glob("*.py")] == []


@EACH
def test_a_query_reads_exactly_what_it_says_it_depends_on(mart: Mart) -> None:
    query = sqlglot.parse_one(mart.query, dialect="duckdb")
    named = {f"{table.db}.{table.name}" for table in query.find_all(sqlglot.exp.Table) if table.db}
    assert named == set(mart.inputs)


@EACH
def test_a_query_can_be_rendered_for_the_distributed_engine(mart: Mart) -> None:
    assert sqlglot.transpile(mart.query, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)


@EACH
def test_a_query_never_divides_money_or_averages(mart: Mart) -> None:
    query = sqlglot.parse_one(mart.query, dialect="duckdb")
    assert not list(query.find_all(sqlglot.exp.Avg))
    for division in query.find_all(sqlglot.exp.Div):
        assert division.left.sql().endswith("AS DOUBLE)"), f"not marked as for display: {division.sql()}"


@EACH
def test_what_is_rebuilt_by_key_is_kept_by_that_key(mart: Mart) -> None:
    # A view keeps nothing: its keys are its inputs'.
    kept_by = [marts()[name.removeprefix("marts.")] for name in mart.inputs if name.startswith("marts.")]
    for one in kept_by if mart.view else (mart,):
        assert set(mart.rebuild_by) <= {column.name for column in one.columns}
    assert set(mart.grain) <= {column.name for column in mart.columns}


@EACH
def test_what_is_judged_by_key_can_be(mart: Mart) -> None:
    """A continued build shows such a rule the touched rows of the mart and its inputs, and of nothing else."""
    for check in checks_of(mart):
        if check.by_key:
            assert mart.rebuild_by
            tables = sqlglot.parse_one(check.query, dialect="duckdb").find_all(sqlglot.exp.Table)
            assert {f"{table.db}.{table.name}" for table in tables} <= {mart.table, *mart.inputs}


def test_reconciliation_compares_every_measure_of_the_catalogue() -> None:
    query = marts()["reconciliation"].query
    assert [measure for measure in MEASURES if f"'{measure}'" not in query] == []


def test_a_check_is_a_rule_and_a_query() -> None:
    checks = parse_checks("-- No row\n-- is bad.\nSELECT 1;\n\n-- warning: Odd.\nSELECT ';x' AS y\nWHERE a;\n")
    assert [(check.rule, check.warning) for check in checks] == [("No row is bad.", False), ("Odd.", True)]
    assert [check.query for check in checks] == ["SELECT 1", "SELECT ';x' AS y\nWHERE a"]
    (check,) = parse_checks("-- by key: No row is bad.\nSELECT 1;\n")
    assert (check.rule, check.warning, check.by_key) == ("No row is bad.", False, True)


def test_a_mart_that_splits_all_usage_up_is_checked_to_add_up_to_it() -> None:
    split = {
        mart.name: mart.checks[0]
        for mart in marts().values()
        if "adds up to" in "".join(check.query for check in mart.checks[:1])
    }
    assert split.keys() == {
        *("cost_daily", "cost_by_execution", "cost_by_mode", "cost_by_template_version", "daily_cost_summary")
    }
    assert split["cost_daily"].rule == "Calls, tokens and costs of all days are those of all model calls."
    assert "FROM marts.cost_daily\n" in split["cost_daily"].query
