"""Reads a folder of cold files with Spark: its types, rows and a sum go to standard output as JSON.

A program of Spark's own environment, which the project's tests start: `python read_cold_files.py FOLDER SCRATCH`.
"""

import json
import os
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

os.environ |= {"TZ": "UTC", "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}

from pyspark.sql import SparkSession


def plain(value: object) -> object:
    """A value as JSON can carry it, exactly."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return value


def main(folder: str, scratch: str) -> None:
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": scratch,
        "spark.local.dir": scratch,
    }
    builder = SparkSession.builder.master("local[2]").appName("ledger")
    for name, value in settings.items():
        builder = builder.config(name, value)
    with builder.getOrCreate() as spark:
        # Without partitions that are guessed from the folders' names: the column `week` is in the rows.
        events = spark.read.option("recursiveFileLookup", "true").parquet(folder)
        events.createOrReplaceTempView("events")
        (cost,) = spark.sql("SELECT sum(cost_usd) FROM events").collect()[0]
        rows = [[plain(value) for value in row] for row in events.orderBy("execution_id", "sequence").collect()]
        json.dump({"types": dict(events.dtypes), "rows": rows, "cost_usd": plain(cost)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
