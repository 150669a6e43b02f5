"""What cold storage takes and how soon it answers: `python -m benchmarks.cold`.

The ledger is that of the benchmark of the roll. Its bytes an event are counted in the heap of Postgres, with and
without indexes, as JSON lines under gzip, and in the Parquet files that all of it rolls to. Executions are then
replayed from the cold copy and from the hot one of the same rows, in turns; the hot rate is the baseline.
"""

import gzip
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from uuid import UUID

from psycopg.conninfo import make_conninfo

from benchmarks.databases import copy_of
from benchmarks.result import Result, print_table
from benchmarks.roll import EXECUTIONS, NOW, simulated_ledger
from ledger_pipeline.cold.reader import scan_events
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.jsonl import export_jsonl
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.settings import Settings

SAMPLE = 40
AT_MOST = 20
"""Times that a replay from cold may take, of one from hot."""

_HEAP = """
    SELECT sum(pg_relation_size(c.oid) + coalesce(pg_table_size(nullif(c.reltoastrelid, 0)), 0))::bigint AS heap,
        sum(pg_total_relation_size(c.oid))::bigint AS whole
    FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r' AND c.relname ~ '_events_[0-9]{8}$'
"""


def run(executions: int = EXECUTIONS) -> list[Result]:
    """Bytes an event, each with its share of the gzipped JSON lines', then replays."""
    with (
        simulated_ledger(executions) as (server, template),
        tempfile.TemporaryDirectory(prefix="ledger-bench-") as folder,
        copy_of(server, template) as rolled,
        connect(make_conninfo(server, dbname=template), autocommit=True) as hot,
    ):
        settings = Settings(home=Path(folder))
        heap = hot.execute(_HEAP).fetchone()
        assert heap is not None
        lines = Path(folder) / "events.jsonl.gz"
        with gzip.open(lines, "wb", compresslevel=6) as out:
            events = export_jsonl(scan_events(hot, settings.cold_dir), out)
        parquet = sum(week.bytes for week in roll(rolled, settings, NOW, keep_days=0))
        gzipped = lines.stat().st_size
        sizes = {
            "Postgres, heap and TOAST": heap["heap"],
            "Postgres, with indexes": heap["whole"],
            "JSON lines, gzip -6": gzipped,
            "Parquet, cold": parquet,
        }
        results = [Result(f"{name}: bytes an event", size / events, size / gzipped) for name, size in sizes.items()]
        ids = _sample(hot)
        for _ in range(2):  # the second time nobody reads a file, or plans, for the first time
            seconds = {"hot": list[float](), "cold": list[float]()}
            for identity in ids:
                for name, connection in (("hot", hot), ("cold", rolled)):
                    began = time.perf_counter()
                    state = replay(connection, settings.cold_dir, identity)
                    seconds[name].append(time.perf_counter() - began)
                    assert not state.problems
        hot_median, cold_median = median(seconds["hot"]), median(seconds["cold"])
        return [
            *results,
            Result("replays from hot", 1 / hot_median, 1.0, note=f"{hot_median * 1000:.1f} ms"),
            Result(
                "replays from cold",
                1 / cold_median,
                hot_median / cold_median,
                1 / AT_MOST,
                f"{cold_median * 1000:.1f} ms, {cold_median / hot_median:.1f} times as long",
            ),
        ]


def _sample(connection: Connection) -> list[UUID]:
    """Executions from all over the ledger."""
    rows = connection.execute(
        "SELECT id FROM"
        " (SELECT id, row_number() OVER (ORDER BY id) AS n, count(*) OVER () AS of FROM execution_heads) h"
        " WHERE n %% greatest(1, of / %s) = 0 LIMIT %s",
        (SAMPLE, SAMPLE),
    ).fetchall()
    return [row["id"] for row in rows]


def main() -> None:
    """Prints the table."""
    print_table("cold", run(int(sys.argv[1]) if len(sys.argv) > 1 else EXECUTIONS), "× baseline")


if __name__ == "__main__":
    main()
