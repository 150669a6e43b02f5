"""`checkpoint`, `prove`, `verify --notes` and verify_ledger.py, as a user and an auditor run them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ledger_pipeline.cold.roll import roll
from ledger_pipeline.hot.database import Connection
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.cli import CommandLine
from ledger_pipeline_tests.cold.histories import NOW, fill

pytestmark = pytest.mark.mission("A3")
VERIFIER = Path(__file__).parents[1] / "verify_ledger.py"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ledger_url: str) -> Settings:
    monkeypatch.setenv("LEDGER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEDGER_DATABASE_URL", ledger_url)
    return Settings.read()


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], settings: Settings) -> CommandLine:
    return CommandLine(capfd)


def audit(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def event_ids(connection: Connection) -> list[str]:
    return [str(row["event_id"]) for row in connection.execute("SELECT event_id FROM workflow_events").fetchall()]


@pytest.mark.slow
def test_every_event_is_proven_hot_or_cold_across_epochs(
    cli: CommandLine, connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    fill(connection, 2)
    wanted = event_ids(connection)[::5]
    assert cli("prove", wanted[0]).err.startswith("error: event of execution")
    assert cli("checkpoint").code == 0
    connection.execute("SELECT adopt('moved')")
    fill(connection, 1, seed=2)
    wanted += event_ids(connection)[-2:]
    assert cli("checkpoint").code == 0
    hot = {event_id: cli("prove", event_id, "--json").data for event_id in wanted}
    roll(connection, settings, NOW)
    assert connection.execute("SELECT FROM workflow_events").rowcount == 0
    assert "signed: a tree of" in cli("checkpoint").out  # of the rolled weeks
    path = tmp_path / "proof.json"
    for event_id, before in hot.items():
        ran = cli("prove", event_id, "--json")
        assert ran.code == 0, ran.err
        assert {part: ran.data[part] for part in ("event", "batch", "checkpoint")} == {
            part: before[part] for part in ("event", "batch", "checkpoint")
        }
        for proof in (before, ran.data):
            path.write_text(json.dumps(proof))
            code, out, _ = audit("--proof", path)
            assert (code, f"event_id: {event_id}" in out) == (0, True), out
    assert cli("prove", wanted[0]).out.count("leaf ") == 2


@pytest.fixture
def proof(cli: CommandLine, connection: Connection) -> dict[str, Any]:
    fill(connection, 2)
    assert cli("checkpoint").code == 0
    return cli("prove", event_ids(connection)[4], "--json").data


def test_a_proof_of_something_else_proves_nothing(proof: dict[str, Any], tmp_path: Path) -> None:
    text: str = proof["event"]["canonical_text"]
    other = "0" * 64

    def with_(*path: Any, value: Any) -> dict[str, Any]:
        changed = json.loads(json.dumps(proof))
        place = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return changed

    wrong = {
        "event: is named otherwise": with_("event", "event_id", value="00000000-0000-7000-8000-000000000000"),
        "event: is named otherwise than": with_(
            "event", "canonical_text", value=text.replace("model-a", "model-b") + " "
        ),
        "batch: the event's path": with_("batch", "path", 0, value=other),
        "batch: the event's path does": with_("batch", "index", value=proof["batch"]["index"] + 1),
        "tree: the checkpoint's path": with_("tree", "path", 0, value=other),
        "tree: the checkpoint's path does": with_("tree", "size", value=proof["tree"]["size"] + 1),
        "checkpoint: is none": with_("checkpoint", "canonical_text", value="epoch\x1f1"),
        "has a false signature": with_("note", value=proof["note"].replace("\n3\n", "\n4\n")),
        "is not signed by a known key": with_("note", value=proof["note"].replace("— ledger", "— Ledger")),
    }
    path = tmp_path / "proof.json"
    for what, changed in wrong.items():
        path.write_text(json.dumps(changed))
        code, out, _ = audit("--proof", path)
        assert (code, what in out) == (1, True), (what, out)


def test_a_ledger_is_proven_to_go_on_from_a_note(
    cli: CommandLine, connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    for seed in range(3):
        fill(connection, 1, seed=seed)
        assert cli("checkpoint").code == 0
    notes = sorted((settings.home / "notes").rglob("*.note"))
    path = tmp_path / "proof.json"
    for note in notes:
        proof = cli("prove", "--since", note, "--json").data
        path.write_text(json.dumps(proof))
        code, out, _ = audit("--proof", path)
        assert (code, f"goes on from that of {int(note.stem)}" in out) == (0, True), out
    assert "is the beginning of the tree of" in cli("prove", "--since", notes[0]).out
    proof = cli("prove", "--since", notes[0], "--json").data
    for changed in (proof | {"path": proof["path"][1:]}, proof | {"earlier_note": proof["later_note"]}):
        path.write_text(json.dumps(changed))
        assert audit("--proof", path)[0] == 1
    assert cli("prove").code == cli("prove", event_ids(connection)[0], "--since", notes[0]).code == 2
    refused = cli("prove", "--since", tmp_path / "none.note")
    assert (refused.code, refused.err.startswith("error: since:")) == (2, True)
    # The ledger was rolled back to before the last note: from that one it doesn't go on.
    connection.execute("ALTER TABLE tree_leaves DISABLE TRIGGER USER")
    connection.execute("DELETE FROM tree_leaves WHERE place = (SELECT max(place) FROM tree_leaves)")
    refused = cli("prove", "--since", notes[-1])
    assert (refused.code, "rolled back" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("nonsense", "is no JSON"),
        ("[]", "is not as `prove --json` writes it"),
        ('{"format": "ledger-proof-1"}', "there is none"),
        ('{"format": "ledger-proof-9", "verifier_keys": ["%s"]}', "ledger-proof-9"),
        ('{"format": "ledger-proof-1", "event": {}, "verifier_keys": ["%s"]}', "is not as `prove --json`"),
        (None, "No such file"),
    ],
)
def test_what_is_no_proof_is_refused_in_words(content: str | None, what: str, tmp_path: Path) -> None:
    key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    path = tmp_path / "proof.json"
    if content is not None:
        path.write_text(content.replace("%s", key))
    code, _, err = audit("--proof", path)
    assert (code, err.count("\n")) == (2, 1)
    assert what in err


def test_wrong_use_of_the_auditors_program_is_refused(tmp_path: Path) -> None:
    assert audit()[0] == 2
    assert audit("--cold", tmp_path)[0] == 2
    assert audit("--cold", tmp_path, "--notes", tmp_path / "none")[0] == 2
    code, _, err = audit("--cold", tmp_path, "--notes", tmp_path, "--key", "nonsense")
    assert (code, "is no verifier key" in err) == (2, True)


def test_a_ledger_is_verified_against_its_notes(
    cli: CommandLine, connection: Connection, settings: Settings, tmp_path: Path
) -> None:
    notes = settings.home / "notes"
    refused = cli("verify", "--notes", notes)
    assert (refused.code, refused.err.startswith(f"error: notes: {notes} is not a folder")) == (2, True)
    fill(connection, 2)
    answer = cli("checkpoint", "--json").data
    assert (answer["n"], answer["tree_size"]) == (1, 3)
    roll(connection, settings, NOW)
    assert cli("checkpoint").code == 0
    assert cli("verify", "--notes", notes).code == 0
    (key,) = notes.rglob("*.vkey")
    healthy = {"ok": True, "events": 18, "resumed_events": 0, "problems": [], "removed": []}
    assert cli("verify", "--notes", notes, "--key", key, "--json").data == healthy
    assert cli("verify", "--resume", "--json").data == healthy  # there is nothing to go on from
    assert not settings.verification_dir.exists()
    assert cli("verify", "--key", key).code == 2
    code, out, _ = audit("--cold", settings.cold_dir, "--notes", notes, "--key", key)
    assert (code, out.splitlines()[-1]) == (0, "all as recorded")
    assert "1 batches checked; 0 not" in out

    connection.execute("ALTER TABLE tree_leaves DISABLE TRIGGER USER")
    connection.execute("DELETE FROM tree_leaves WHERE place > 2")
    refused = cli("verify", "--notes", notes, "--json")
    assert refused.code == 1
    assert any("rolled back" in problem["what"] and problem["file"] for problem in refused.data["problems"])
    signed = cli("checkpoint")
    assert (signed.code, "nothing is signed" in signed.err) == (1, True)
    assert "PRIVATE" not in signed.out + signed.err

    (key.parent / "elsewhere.vkey").write_text("Other+00000000+AA==\n")
    assert cli("verify", "--notes", notes, "--key", key.parent / "elsewhere.vkey").code == 2
