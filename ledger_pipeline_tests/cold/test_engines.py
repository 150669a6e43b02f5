"""Cold files are plain Parquet: engines that know nothing of the ledger read the same rows and types from them."""

from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from ledger_pipeline.cold.manifest import committed_weeks
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.events.schema import ARROW_SCHEMA, SCHEMA_VERSION
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cold.histories import NOW, fill


@pytest.fixture
def files(connection: Connection, settings: Settings) -> list[Path]:
    fill(connection)
    roll(connection, settings, NOW)
    return [settings.cold_dir / file.name for week in committed_weeks(connection) for file in week.files]


@pytest.mark.mission("A5")
def test_duckdb_polars_and_pyarrow_read_the_same(files: list[Path]) -> None:
    names = ARROW_SCHEMA.names
    arrow = [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    polars = pl.read_parquet(files, hive_partitioning=False).to_dicts()
    cursor = duckdb.sql("SELECT * FROM read_parquet($1, hive_partitioning = false)", params=[list(map(str, files))])
    assert cursor.columns == names
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def in_order(given: list[dict[str, object]]) -> list[list[str]]:
        ordered = sorted(given, key=lambda row: (row["execution_id"], row["sequence"]))
        # An instant is the same one in whatever zone an engine shows it.
        return [[str(row[name]) for name in names if not name.endswith("_at")] for row in ordered]

    assert in_order(polars) == in_order(arrow)
    assert in_order(rows) == in_order(arrow)
    for name in ("occurred_at", "recorded_at"):
        instants = sorted(row[name].timestamp() for row in arrow)
        assert sorted(row[name].timestamp() for row in polars) == instants
        assert sorted(row[name].timestamp() for row in rows) == instants
    assert sum(row["cost_usd"] or 0 for row in arrow) == sum(row["cost_usd"] or 0 for row in rows) > Decimal(0)


def test_a_file_says_what_it_is(files: list[Path]) -> None:
    for file in files:
        opened = pq.ParquetFile(file)
        metadata = opened.schema_arrow.metadata
        assert metadata[b"ledger.schema_version"] == str(SCHEMA_VERSION).encode()
        assert metadata[b"ledger.instance_id"].decode() in file.parts
        assert f"week={metadata[b'ledger.week'].decode()}" in file.parts
        group = opened.metadata.row_group(0)
        assert group.column(ARROW_SCHEMA.get_field_index("execution_id")).statistics.has_min_max
        assert group.column(0).compression == "ZSTD"
