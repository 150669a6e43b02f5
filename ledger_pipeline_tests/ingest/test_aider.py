"""The import of Aider logs into a ledger: what is stored, put aside, repeated and refused."""

import gzip
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import pytest

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.ingest.aider import import_aider
from ledger_pipeline.ingest.result import ImportResult
from ledger_pipeline.pricing.book import load_book
from ledger_pipeline_tests.ingest.aider_logs import NOON, line, send, written

SESSION = [line("launched"), line("message_send_starting"), send(), line("exit", reason="/exit")]


@pytest.fixture
def rejects_dir(tmp_path: Path) -> Path:
    return tmp_path / "rejects"


@pytest.fixture
def import_log(connection: Connection, rejects_dir: Path) -> Callable[[Path], ImportResult]:
    book = load_book(connection)
    return lambda path: import_aider(connection, book, path, rejects_dir)


def stored(connection: Connection, query: str = "SELECT count(*) AS n FROM workflow_events"):
    return [tuple(row.values()) for row in connection.execute(query).fetchall()]


@pytest.mark.slow
def test_the_real_log_is_stored_whole_and_importing_it_again_adds_nothing(import_log, connection, test_data):
    log = test_data / "aider" / "aider-analytics-union.jsonl.gz"
    first = import_log(log)
    assert (first.lines, first.events, first.new_events, first.executions) == (39_572, 59_443, 59_443, 8_055)
    assert first.rejects == 0
    lines = "SELECT count(source_line), count(DISTINCT source_line) AS of_lines FROM workflow_events"
    assert stored(connection, lines) == [(39_572, 39_572)]
    usage = stored(
        connection,
        """
        SELECT count(*), sum(input_tokens) AS input, sum(output_tokens) AS output,
            abs(sum(recorded_cost_usd) - 10182.700381635998) <= 1e-9 AS recorded,
            bool_and((cost_usd IS NULL) = (pricing_status = 'unpriced')) AS unpriced_without_cost,
            bool_and((cost_usd IS NULL) = (estimated_cost_usd IS NOT NULL)) AS unpriced_estimated
        FROM workflow_events WHERE event_type = 'TokensUpdated'
        """,
    )
    assert usage == [(5_563, 73_020_005, 2_956_951, True, True, True)]
    unpriced = "SELECT count(*) FROM workflow_events WHERE model LIKE '%REDACTED' AND pricing_status = 'priced'"
    assert stored(connection, unpriced) == [(0,)]
    assert import_log(log).new_events == 0


def test_a_grown_log_adds_only_what_is_new_under_whatever_name(import_log, connection, tmp_path):
    import_log(written(tmp_path / "log.jsonl", [*SESSION, SESSION[0]]))
    grown = [*SESSION, SESSION[0], *SESSION[1:], *SESSION]
    with gzip.open(tmp_path / "other.jsonl.gz", "wt") as file:
        file.write("".join(f"{text}\n" for text in grown))
    result = import_log(tmp_path / "other.jsonl.gz")
    assert (result.events, result.new_events) == (18, 10)
    assert stored(connection, "SELECT status::text, count(*) FROM workflow_executions GROUP BY 1") == [("completed", 3)]
    assert stored(connection, "SELECT DISTINCT source_file FROM workflow_events ORDER BY 1") == [
        ("log.jsonl",),
        ("other.jsonl.gz",),
    ]


def test_another_log_of_other_users_is_added_beside(import_log, connection, tmp_path):
    import_log(written(tmp_path / "ada.jsonl", SESSION))
    result = import_log(written(tmp_path / "bob.jsonl", [text.replace("ada", "bob") for text in SESSION]))
    assert result.new_events == 6
    assert stored(connection) == [(12,)]


def test_malformed_lines_are_put_aside_verbatim_and_the_rest_is_imported(import_log, connection, tmp_path, rejects_dir):
    log = tmp_path / "log.jsonl"
    torn = b'{"event": "exi\r\n'
    lines = [f"{text}\n".encode() for text in SESSION]
    log.write_bytes(b"".join([lines[0], torn, b"\xff\xfe\n", *lines[1:], b"no newline"]))
    result = import_log(log)
    assert (result.lines, result.new_events, result.rejects) == (7, 6, 3)
    assert [reject.line for reject in result.first_rejects] == [2, 3, 7]
    assert result.rejects_file is not None
    assert result.rejects_file.parent == rejects_dir
    assert result.rejects_file.read_bytes() == torn + b"\xff\xfe\nno newline"
    (reasons_file,) = rejects_dir.glob("*.reasons.tsv")
    assert [text.split("\t")[0] for text in reasons_file.read_text().splitlines()] == ["2", "3", "7"]
    assert stored(connection, "SELECT max(source_line) FROM workflow_events") == [(6,)]


def test_a_corrected_log_takes_its_old_rejects_away(import_log, tmp_path, rejects_dir):
    log = written(tmp_path / "log.jsonl", [*SESSION, "torn"])
    import_log(log)
    assert len(list(rejects_dir.iterdir())) == 2
    written(log, SESSION)
    assert import_log(log).rejects_file is None
    assert list(rejects_dir.iterdir()) == []


def test_a_time_is_judged_by_the_clock_of_the_server(import_log, tmp_path):
    later = line("launched", "bob", 4_000_000_000)
    result = import_log(written(tmp_path / "log.jsonl", [*SESSION, later]))
    assert result.rejects == 1
    assert "lies in the future" in result.first_rejects[0].reason


GZIP = gzip.compress("".join(f"{text}\n" for text in SESSION * 50).encode())

REFUSED_FILES = [
    ("empty.jsonl", b"", "the file is empty"),
    ("empty.jsonl.gz", gzip.compress(b""), "the file is empty"),
    ("blank.jsonl", b"\n\n", "it holds no line"),
    ("plain.jsonl.gz", b'{"event": 1}\n', "named .gz but not gzip-compressed"),
    ("hidden.jsonl", GZIP, "gzip-compressed but not named .gz"),
    ("torn.jsonl.gz", GZIP[:-20], "cannot be read"),
    ("damaged.jsonl.gz", GZIP[:40] + b"\x00\x01\x02" + GZIP[43:], "cannot be read"),
    ("binary.jsonl", bytes(range(256)) * 20, "not an Aider analytics log"),
    ("list.jsonl", b'[{"event": "exit"}]', "not an Aider analytics log"),
    ("other.jsonl", b'{"role": "user", "content": "hi"}\n', "not an Aider analytics log"),
]


def test_a_file_that_is_not_what_it_claims_is_named_and_leaves_no_trace(import_log, connection, tmp_path, rejects_dir):
    (tmp_path / "folder.jsonl").mkdir()
    refusals = {"folder.jsonl": "not a file but a folder", "none.jsonl": "there is no such file"}
    for name, content, reason in REFUSED_FILES:
        (tmp_path / name).write_bytes(content)
        refusals[name] = reason
    for name, reason in refusals.items():
        with pytest.raises(InvalidInput) as refused:
            import_log(tmp_path / name)
        message = str(refused.value)
        assert message.startswith(f"{tmp_path / name}: ")
        assert reason in message
        assert "\n" not in message
    assert stored(connection) == [(0,)]
    assert not rejects_dir.exists() or list(rejects_dir.iterdir()) == []


def test_a_log_that_was_rewritten_is_refused_instead_of_mixed(import_log, connection, tmp_path):
    log = written(tmp_path / "log.jsonl", [line("launched"), line("command_add")])
    import_log(log)
    written(log, [line("launched"), line("command_ask"), line("command_drop")])
    with pytest.raises(InvalidInput, match="another event at sequence 3"):
        import_log(log)
    assert stored(connection) == [(3,)]


def test_two_imports_at_once_store_nothing_twice(ledger_url, tmp_path, rejects_dir):
    log = written(
        tmp_path / "log.jsonl", [text for n in range(400) for text in (line("launched", time=NOON + n), send())]
    )
    start = Barrier(2)
    outcomes: list[ImportResult | Exception] = []

    def run() -> None:
        with connect(ledger_url) as connection:
            book = load_book(connection)
            connection.rollback()
            start.wait()
            try:
                outcomes.append(import_aider(connection, book, log, rejects_dir))
            except Exception as error:
                outcomes.append(error)

    threads = [Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome for outcome in outcomes if not isinstance(outcome, ImportResult)] == []
    assert sum(outcome.new_events for outcome in outcomes if isinstance(outcome, ImportResult)) == 400 * 6 - 1
    with connect(ledger_url) as connection:
        assert stored(connection) == [(400 * 6 - 1,)]
