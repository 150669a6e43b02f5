"""Cold files are plain Parquet: engines that know nothing of the ledger read the same rows and types from them."""

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
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


SPARK_PYTHON = Path(__file__).parents[2] / ".venv-spark" / "bin" / "python"
SPARK_TYPES = {
    pa.string(): "string",
    pa.int64(): "bigint",
    pa.int32(): "int",
    pa.int16(): "smallint",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
    pa.binary(32): "binary",
    pa.date32(): "date",
    pa.decimal128(38, 12): "decimal(38,12)",
    pa.timestamp("us", "UTC"): "timestamp",
}


def require_java() -> None:
    """Skips, saying so, where there is no Java that Spark can use."""
    home = os.environ.get("JAVA_HOME")
    found = f"{home}/bin/java" if home else shutil.which("java")
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr if found else ""
    version = re.search(r'version "(\d+)', told)
    if found is None or version is None or int(version[1]) < 17:
        pytest.skip("no Java 17 or newer, which Spark needs")


@pytest.mark.slow
@pytest.mark.mission("A5")
def test_spark_reads_the_same(files: list[Path], settings: Settings, tmp_path: Path) -> None:
    require_java()
    if not SPARK_PYTHON.exists():
        pytest.skip("Spark is not installed: `make spark` does it")
    arrow = pa.concat_tables(pq.ParquetFile(file).read() for file in files)
    arrow = arrow.sort_by([("execution_id", "ascending"), ("sequence", "ascending")])
    reader = Path(__file__).parents[1] / "spark" / "read_cold_files.py"
    done = subprocess.run(
        [str(SPARK_PYTHON), "-I", str(reader), str(settings.cold_dir), str(tmp_path / "spark")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["types"] == {field.name: SPARK_TYPES[field.type] for field in arrow.schema}
    assert answer["rows"] == [[plain(value) for value in row.values()] for row in arrow.to_pylist()]
    assert answer["cost_usd"] == plain(sum(cost for cost in arrow.column("cost_usd").to_pylist() if cost is not None))
    texts = {value for row in answer["rows"] for value in row if isinstance(value, str)}
    assert any("漢 🙂" in text for text in texts)
    assert any(None in row for row in answer["rows"])


def plain(value: object) -> object:
    """A value of Arrow's as `read_cold_files.py` writes it."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case _:
            return value


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
