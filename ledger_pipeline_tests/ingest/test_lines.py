"""Lines as read from files, and the files of those put aside."""

from pathlib import Path

import pytest

from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.ingest import lines
from ledger_pipeline.ingest.lines import read_lines
from ledger_pipeline.ingest.rejects import Rejects


def test_lines_keep_their_endings_and_give_their_text_without(tmp_path: Path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf{1}\r\n\n{2}")
    read = list(read_lines(file))
    assert [(line.number, line.data, line.blank) for line in read] == [
        (1, b"\xef\xbb\xbf{1}\r\n", False),
        (2, b"\n", True),
        (3, b"{2}", False),
    ]
    assert [read[0].text(), read[2].text()] == ["{1}", "{2}"]


def test_a_line_that_is_too_long_comes_in_pieces_and_is_put_aside_verbatim(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"short\n" + b"x" * 25 + b"\nlast\n")
    with Rejects(tmp_path / "rejects", file) as rejects:
        for line in read_lines(file):
            if line.fault:
                with pytest.raises(InvalidInput, match="longer than 10 bytes"):
                    line.text()
                rejects.put(line, line.fault)
        kept = rejects.keep()
    assert [line.number for line in read_lines(file)] == [1, 2, 2, 2, 3]
    assert rejects.count == 1
    assert kept is not None
    assert kept.read_bytes() == b"x" * 25 + b"\n"


def test_rejects_of_files_with_the_same_name_do_not_overwrite_each_other(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "log.jsonl"
        file.write_text(folder)
        with Rejects(tmp_path / "rejects", file) as rejects:
            rejects.put(next(read_lines(file)), "a\nreason")
            assert rejects.keep() is not None
    assert sorted(path.read_text() for path in (tmp_path / "rejects").glob("*.rejects")) == ["a", "b"]
    assert {path.read_text() for path in (tmp_path / "rejects").glob("*.tsv")} == {"1\ta reason\n"}


def test_rejects_of_an_import_that_failed_leave_nothing_new(tmp_path: Path):
    file = tmp_path / "log.jsonl"
    file.write_text("x")
    line = next(read_lines(file))

    def failing_import() -> None:
        with Rejects(tmp_path / "rejects", file) as rejects:
            rejects.put(line, "reason")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing_import()
    assert list((tmp_path / "rejects").iterdir()) == []


def test_a_folder_for_rejects_that_cannot_be_written_is_named(tmp_path: Path):
    file = tmp_path / "log.jsonl"
    file.write_text("x")
    line = next(read_lines(file))
    with Rejects(file, file) as rejects, pytest.raises(InvalidInput, match="rejects can't be put aside there"):
        rejects.put(line, "reason")
