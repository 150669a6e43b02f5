#!/usr/bin/env python3
"""Verifies a ledger from its files alone: cold Parquet files and signed notes, or the proof of one event.

    python verify_ledger.py --cold data/cold --notes data/notes/INSTANCE --key KEY
    python verify_ledger.py --proof proof.json --key KEY

For auditors: one file that shares no code with the ledger and needs no database. It needs Python 3.11, `duckdb` (reads
Parquet) and `cryptography` (checks signatures): `pip install duckdb cryptography`. What it checks, and what can't be
checked from these files, is in docs/proof.md, with every format.

KEY is the verifier key (`name+hash+base64`) or a file with one a line. Get it from whom you trust: the one that lies
beside the notes, which is taken when none is given, shows only that notes and ledger fit together.

Exit codes: 0 all is as recorded; 1 something isn't, the first bad thing first; 2 wrong use or unreadable input.
"""

import argparse
import base64
import binascii
import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import duckdb
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SEPARATOR = "\x1f"
GENESIS = bytes(32)
RECORD_FORMAT, PROOF_FORMAT = "ledger-note-record-1", "ledger-proof-1"
CONSISTENCY_FORMAT = "ledger-consistency-1"

ENVELOPE_COLUMNS = """
event_id execution_id sequence event_type event_version week epoch tx occurred_at recorded_at workflow_name
workflow_type template_id template_version mode drive_id customer_id user_id agent_id agent_name operator_id
operator_kind step_id step_name call_id attempt source source_file source_line execution_kind
"""
"""The columns that every event's canonical text begins with, after its profile number."""

TYPES = """
WorkflowCreated 1 triggered_by triggered_by_kind parent_execution_id parent_step_id retry_of budget_usd budget_tokens
WorkflowStarted 2
WorkflowPaused 3 reason
WorkflowResumed 4 reason
WorkflowCompleted 5
WorkflowFailed 6 error_code error_message
WorkflowCancelled 7 reason
WorkflowTimedOut 8 reason limit_seconds
ExecutionAborted 9 reason
StepDispatched 10 tool_name
StepCompleted 11
StepFailed 12 error_code error_message
StepRetried 13 next_attempt delay_ms error_message
StepSkipped 14 reason
BranchTaken 15 branch_condition branch_result branch_target
IterationStarted 16 iteration_index
ChildExecutionLinked 17 child_execution_id
InputRequested 18 prompt
InputReceived 19
ApprovalRequested 20 approval_id approval_subject requested_from
ApprovalApplied 21 approval_id decision decision_comment
TokensUpdated 22 model_call_id provider model priced_model service_tier context_tier region input_tokens \
cache_read_tokens cache_write_5m_tokens cache_write_1h_tokens output_tokens reasoning_tokens input_audio_tokens \
cache_audio_read_tokens output_audio_tokens input_image_tokens output_image_tokens requests input_cost_usd \
cache_read_cost_usd cache_write_5m_cost_usd cache_write_1h_cost_usd output_cost_usd reasoning_cost_usd \
input_audio_cost_usd cache_audio_read_cost_usd output_audio_cost_usd input_image_cost_usd output_image_cost_usd \
requests_cost_usd cost_usd estimated_cost_usd recorded_cost_usd pricing_status unpriced_reason latency_ms
CostRecalculated 23 target_event_id target_execution_id target_occurred_at model_call_id provider model old_cost_usd \
new_cost_usd difference_usd reason
BudgetExceeded 24 budget_id budget_scope budget_unit budget_period threshold_percent limit_usd total_usd limit_tokens \
total_tokens model_call_id
ContextUpdated 25
ArtifactRecorded 26 artifact_id artifact_type artifact_name uri size_bytes content_type sha256
LogRecorded 27 log_level message
"""
"""Each event type with its profile number and the columns that its canonical text has between envelope and payload.

That is version 1 of the type; version 2 has a line of its own that begins with the name and `/2`.
"""


class Layout(NamedTuple):
    """What the canonical text of one version of an event type has of its own."""

    profile: str
    columns: list[str]


def layouts(text: str) -> dict[str, dict[str, Layout]]:
    """The layouts of each event type by version."""
    found: dict[str, dict[str, Layout]] = {}
    for line in text.strip().splitlines():
        name, profile, *columns = line.split()
        event_type, _, version = name.partition("/")
        found.setdefault(event_type, {})[version or "1"] = Layout(profile, columns)
    return found


ENVELOPE = ENVELOPE_COLUMNS.split()
LAYOUTS = layouts(TYPES)
TIMES = {"occurred_at", "recorded_at", "target_occurred_at"}

CHECKPOINT = ("n", "epoch", "first_tx", "end_tx", "events", "root", "closed_at")
WEEK = (
    *("week", "fencing_token", "instance_id", "events", "first_epoch", "first_tx", "last_epoch", "last_tx"),
    *("checkpoint", "hot_root", "root", "bytes", "schema_version"),
    *("sealed_at", "written_at", "verified_at", "committed_at"),
)
REMOVAL = (
    *("week", "events", "root", "executions", "segments_hash", "costs_hash", "retention_days"),
    *("removed_at", "removed_by", "removed_login", "reason"),
)
FILE = ("name", "sha256", "bytes", "events", "first_execution_id", "last_execution_id")
"""What the canonical text of a leaf of the tree holds after its kind and version; a week's goes on with its files."""


class WrongUse(Exception):
    """Input that can't be judged."""


class Bad(Exception):
    """Something that is not as it was recorded."""


# RFC 6962, section 2.1 ------------------------------------------------------------------------------------------------


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The tree hash, in memory of O(log n)."""
    nodes: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, node = 1, sha256(b"\x00" + leaf).digest()
        while nodes and nodes[-1][0] == size:
            size, node = size * 2, sha256(b"\x01" + nodes.pop()[1] + node).digest()
        nodes.append((size, node))
    if not nodes:
        return sha256(b"").digest()
    root = nodes.pop()[1]
    while nodes:
        root = sha256(b"\x01" + nodes.pop()[1] + root).digest()
    return root


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to (RFC 9162, section 2.1.3.2); None when no such tree has such a path."""
    if not 0 <= index < size:
        return None
    node, last, rest = sha256(b"\x00" + leaf).digest(), size - 1, list(path)
    while last > 0:
        if index % 2 or index < last:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = sha256(b"\x01" + (sibling + node if index % 2 else node + sibling)).digest()
        index, last = index // 2, last // 2
    return None if rest else node


def is_consistent(earlier: int, later: int, earlier_root: bytes, later_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path shows that one tree is the beginning of the other (RFC 9162, section 2.1.4.2)."""
    if earlier == later:
        return earlier_root == later_root and not path
    if not 0 < earlier < later or not path:
        return False
    nodes = [earlier_root, *path] if earlier & (earlier - 1) == 0 else list(path)
    place, last = earlier - 1, later - 1
    while place % 2:
        place, last = place // 2, last // 2
    first = second = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            first, second = sha256(b"\x01" + node + first).digest(), sha256(b"\x01" + node + second).digest()
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            second = sha256(b"\x01" + second + node).digest()
        place, last = place // 2, last // 2
    return last == 0 and (first, second) == (earlier_root, later_root)


# Signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint) --------------------------------------------------------


class Key(NamedTuple):
    """A verifier key."""

    name: str
    hash: bytes
    public: bytes


class Checkpoint(NamedTuple):
    """What a signed note says of a tree."""

    origin: str
    size: int
    root: bytes
    record_hash: str | None


def decoded(text: str) -> bytes:
    """Base64 as bytes; nothing for what isn't base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def parse_key(text: str) -> Key:
    """A key from `name+hash+base64`; only Ed25519, type 1, is known."""
    name, _, rest = text.strip().partition("+")
    hash_text, _, key_text = rest.partition("+")
    key = decoded(key_text)
    expected = sha256(name.encode() + b"\n" + key).digest()[:4]
    if len(key) != 33 or key[0] != 1 or expected.hex() != hash_text:
        raise WrongUse(f"key: {text.strip()[:100]!r} is no verifier key of Ed25519, name+hash+base64")
    return Key(name, expected, key[1:])


def open_note(note: str, keys: Sequence[Key]) -> Checkpoint:
    """What a note says that one of the keys has signed."""
    head, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise Bad("is no signed note")
    text, signed = head + "\n", False
    for line in tail.splitlines():
        parts = line.split(" ")
        signature = decoded(parts[-1])
        if len(parts) != 3 or parts[0] != "\N{EM DASH}" or len(signature) < 5:
            raise Bad(f"is no signed note: {line!r} is no signature")
        for key in keys:
            if (key.name, key.hash) == (parts[1], signature[:4]):
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(signature[4:], text.encode())
                except InvalidSignature:
                    raise Bad(f"has a false signature of {key.name}: it was changed after it was signed") from None
                signed = True
    if not signed:
        raise Bad("is not signed by a known key")
    lines = text.split("\n")[:-1]
    root = decoded(lines[2]) if len(lines) >= 3 else b""
    if len(root) != 32 or not re.fullmatch(r"0|[1-9][0-9]*", lines[1]):
        raise Bad("is no checkpoint of a tree")
    record = next((line.removeprefix("record ") for line in lines[3:] if line.startswith("record ")), None)
    return Checkpoint(lines[0], int(lines[1]), root, record)


# The tree, from notes and their records -------------------------------------------------------------------------------


def leaf_of(canonical_text: str) -> bytes:
    """The data of a leaf: SHA-256 of the canonical text."""
    return sha256(canonical_text.encode()).digest()


@dataclass
class Found:
    """What was checked, and what is bad."""

    problems: list[str] = field(default_factory=list[str])
    events: int = 0
    executions: int = 0
    weeks: int = 0
    removed: list[str] = field(default_factory=list[str])
    batches: int = 0
    open_batches: int = 0
    leaves: int = 0
    notes: int = 0


class NotedHead(NamedTuple):
    """The last event of an execution in a batch, as its record has it."""

    batch: int
    execution_id: str
    sequence: int
    hash: bytes


def read_tree(folder: Path, keys: Sequence[Key], found: Found) -> tuple[list[str], list[NotedHead]]:
    """The texts of the tree's leaves, as far as notes sign them, and the heads of its batches."""
    notes: list[tuple[Checkpoint, Path]] = []
    paths = sorted(folder.rglob("*.note"))
    if not paths:
        raise WrongUse(f"notes: {folder} holds no note")
    for path in paths:
        try:
            notes.append((open_note(path.read_text(encoding="utf-8", errors="replace"), keys), path))
        except Bad as bad:
            found.problems.append(f"note {path.name} {bad}")
    if len({note.origin for note, _ in notes}) > 1:
        raise WrongUse(f"notes: {folder} holds notes of several ledgers; name the folder of one")
    texts: list[str] = []
    heads: list[NotedHead] = []
    for note, path in sorted(notes, key=lambda noted: noted[0].size):
        try:
            first, new, noted = read_record(path.with_suffix(".jsonl"), note)
            if first != len(texts):
                raise Bad(f"follows on leaf {first}, and the notes before it end at {len(texts)}: one is missing")
            if merkle_root(map(leaf_of, [*texts, *new])) != note.root or len(texts) + len(new) != note.size:
                raise Bad("signs another root than its leaves have")
        except Bad as bad:
            found.problems.append(f"note {path.name} {bad}")
            continue
        texts += new
        heads += noted
        found.notes += 1
    found.leaves = len(texts)
    return texts, heads


def read_record(path: Path, note: Checkpoint) -> tuple[int, list[str], list[NotedHead]]:
    """Where the record of a note begins, its leaves and its heads."""
    if not path.exists():
        raise Bad(f"lacks its record {path.name}")
    content = path.read_bytes()
    if sha256(content).hexdigest() != note.record_hash:
        raise Bad(f"has a record, {path.name}, that was changed after it was signed")
    header, *lines = map(json.loads, content.splitlines())
    if header["format"] != RECORD_FORMAT:
        raise WrongUse(f"notes: {path.name} has the format {header['format']!r}; this program reads {RECORD_FORMAT}")
    heads = [
        NotedHead(line["batch"], line["execution_id"], line["last_sequence"], bytes.fromhex(line["head_hash"]))
        for line in lines
        if "batch" in line
    ]
    return header["first"], [line["text"] for line in lines if "leaf" in line], heads


def of_kind(texts: Iterable[str], kind: str, names: Sequence[str]) -> Iterator[tuple[dict[str, str], list[str]]]:
    """The rows that leaves of a kind stand for, each with the fields that follow on its columns."""
    for text in texts:
        fields = text.split(SEPARATOR)
        if fields[0] == kind:
            if fields[1] != "1":
                raise WrongUse(f"notes: a {kind} has the version {fields[1]}; this program reads 1")
            values = fields[2:]
            yield dict(zip(names, values, strict=False)), values[len(names) :]


# Cold events ----------------------------------------------------------------------------------------------------------


def canonical_text_sql() -> str:
    """SQL for an event's canonical text: NULL is empty, times are epoch microseconds, money has twelve places."""

    def joined(columns: Iterable[str]) -> str:
        shown = (f"epoch_us({name})" if name in TIMES else name for name in columns)
        return f"concat({', chr(31), '.join(shown)})"

    def by_type(shown: Callable[[Layout], str]) -> str:
        cases: list[str] = []
        for event_type, versions in LAYOUTS.items():
            own = " ".join(f"WHEN {version} THEN {shown(layout)}" for version, layout in versions.items())
            cases.append(f"WHEN '{event_type}' THEN CASE event_version {own} END")
        return f"CASE event_type {' '.join(cases)} END"

    profile = by_type(lambda layout: f"'{layout.profile}'")
    own = by_type(lambda layout: joined([*layout.columns, "payload"]))
    text = f"concat({', chr(31), '.join([profile, joined(ENVELOPE), own])})"
    return f"CASE WHEN {profile} IS NOT NULL THEN {text} END"


def foreign_sql() -> str:
    """SQL for whether a row has a value in a column of other types, which its canonical text does not show."""
    owners: dict[str, list[str]] = {}
    for name, versions in LAYOUTS.items():
        for column in dict.fromkeys(column for layout in versions.values() for column in layout.columns):
            having = [version for version, layout in versions.items() if column in layout.columns]
            in_some = "" if len(having) == len(versions) else f" AND event_version IN ({', '.join(having)})"
            owners.setdefault(column, []).append(f"event_type = '{name}'{in_some}")
    return " OR ".join(f"{column} IS NOT NULL AND NOT ({' OR '.join(of)})" for column, of in owners.items())


# The folders' names (`week=…`) must not stand in for what the files say of the week.
ROWS = f"""
    SELECT event_id, execution_id, sequence, leaf, hash,
        week = $week AND execution_id BETWEEN $first AND $last AND NOT ({foreign_sql()}) AS in_place,
        {canonical_text_sql()} AS canonical_text
    FROM read_parquet($file, hive_partitioning = false)
"""  # noqa: S608  of constants above
FEED = """
    INSERT INTO feed SELECT epoch, tx, execution_id, sequence, leaf, hash
    FROM read_parquet($file, hive_partitioning = false)
"""
BATCH = "SELECT leaf FROM feed WHERE epoch = ? AND tx >= ? AND tx < ? ORDER BY tx, execution_id, sequence"


class ColdEvents:
    """Re-hashes the events of weeks, oldest first, and follows the chain of each execution."""

    def __init__(self, cold: Path, found: Found, removed: Collection[str] = ()) -> None:
        self._cold = cold
        self._found = found
        self._removed = sorted(removed)
        self._heads: dict[str, tuple[int, bytes, str]] = {}
        self._bad: set[str] = set()
        # One thread: with more, rows come in any order.
        self._database = duckdb.connect(config={"threads": 1})
        self._database.execute(
            "CREATE TABLE feed (epoch INTEGER, tx BIGINT, execution_id VARCHAR, sequence BIGINT, leaf BLOB, hash BLOB)"
        )

    def check_week(self, week: dict[str, str], files: Sequence[str]) -> None:
        """The files are those that were written, and their events those of the week."""
        leaves: list[bytes] = []
        whole = True
        for start in range(0, len(files), len(FILE)):
            file: dict[str, str] = dict(zip(FILE, files[start : start + len(FILE)], strict=True))
            whole &= self._check_file(week["week"], file, leaves)
        if whole and len(leaves) != int(week["events"]):
            self._say(f"week {week['week']}: its files hold {len(leaves)} events, {week['events']} were rolled")
        elif whole and merkle_root(leaves).hex() != week["root"]:
            self._say(f"week {week['week']}: its events have another root than was signed")
        self._found.weeks += 1
        self._found.events += len(leaves)
        self._found.executions = len(self._heads)

    def _check_file(self, week: str, file: dict[str, str], leaves: list[bytes]) -> bool:
        """Answers whether the file could be read."""
        name = PurePosixPath(file["name"])
        path = self._cold / name
        if name.is_absolute() or ".." in name.parts or not path.is_file():
            self._say(f"file {name}: is missing")
            return False
        digest = sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        altered = digest.hexdigest() != file["sha256"]
        if altered:
            self._say(f"file {name}: was altered: its SHA-256 is not the one that was signed")
        bounds = {"week": week, "first": file["first_execution_id"], "last": file["last_execution_id"]}
        before = len(leaves)
        try:
            cursor = self._database.cursor().execute(ROWS, {"file": str(path), **bounds})
            previous = ("", 0)
            while rows := cursor.fetchmany(5_000):
                for row in rows:
                    previous = self._check_event(str(name), week, previous, *row)
                    leaves.append(row[3])
            self._database.execute(FEED, {"file": str(path)})
        except duckdb.Error as error:
            if not altered:
                self._say(f"file {name}: cannot be read: {str(error).splitlines()[0]}")
            return False
        if not altered and len(leaves) - before != int(file["events"]):
            self._say(f"file {name}: holds {len(leaves) - before} events, {file['events']} were written")
        return True

    def _check_event(
        self,
        file: str,
        week: str,
        previous: tuple[str, int],
        event_id: str,
        execution_id: str,
        sequence: int,
        leaf: bytes,
        chained: bytes,
        in_place: bool | None,
        canonical_text: str | None,
    ) -> tuple[str, int]:
        last, link, last_week = self._heads.get(execution_id, (0, GENESIS, ""))
        # What lay between was removed under retention: a signed leaf says so.
        resumed = sequence > last + 1 and any(last_week < removed < week for removed in self._removed)
        if canonical_text is None or sha256(canonical_text.encode()).digest() != leaf:
            what = "its columns do not give its leaf: it was changed"
        elif not in_place:
            what = "has a value that is not of its type, week or file"
        elif (execution_id, sequence) <= previous:
            what = "is out of order"
        elif sequence != last + 1 and not resumed:
            what = f"follows on sequence {last}: an event is missing, or stored twice"
        elif not resumed and sha256(link + leaf).digest() != chained:
            what = "its hash does not follow from the event before it"
        else:
            what = ""
        if what and execution_id not in self._bad:
            self._bad.add(execution_id)
            self._say(f"event {event_id} (execution {execution_id}, sequence {sequence}, file {file}): {what}")
        self._heads[execution_id] = (sequence, chained, week)
        return execution_id, sequence

    def check_batch(self, batch: dict[str, str]) -> None:
        """Count and root of a batch whose events are all here; of one that isn't, nothing can be said."""
        bounds = (int(batch["epoch"]), int(batch["first_tx"]), int(batch["end_tx"]))
        leaves = [row[0] for row in self._database.execute(BATCH, bounds).fetchall()]
        if len(leaves) < int(batch["events"]):
            self._found.open_batches += 1
            return
        self._found.batches += 1
        if len(leaves) > int(batch["events"]):
            self._say(f"batch {batch['n']}: {batch['events']} events were closed, and there are {len(leaves)}")
        elif merkle_root(leaves).hex() != batch["root"]:
            self._say(f"batch {batch['n']}: its events have another root than was signed")

    def check_heads(self, heads: Sequence[NotedHead]) -> None:
        """Of the events that are here, those that were heads of a batch have the hash that they had then."""
        self._database.execute("CREATE TABLE noted (batch BIGINT, execution_id VARCHAR, sequence BIGINT, hash VARCHAR)")
        for start in range(0, len(heads), 1_000):
            rows = [
                (head.batch, head.execution_id, head.sequence, head.hash.hex()) for head in heads[start : start + 1_000]
            ]
            self._database.executemany("INSERT INTO noted VALUES (?, ?, ?, ?)", rows)
        differing = self._database.execute(
            "SELECT n.batch, execution_id, sequence FROM noted n JOIN feed f USING (execution_id, sequence)"
            " WHERE lower(hex(f.hash)) <> n.hash ORDER BY ALL"
        ).fetchall()
        for batch, execution_id, sequence in differing:
            if execution_id not in self._bad:
                self._bad.add(execution_id)
                self._say(f"execution {execution_id}, sequence {sequence}: has another hash than batch {batch} had")

    def _say(self, problem: str) -> None:
        self._found.problems.append(problem)


def audit(cold: Path, notes: Path, keys: Sequence[Key]) -> Found:
    """Checks notes, tree, files, events, chains and batches."""
    found = Found()
    texts, heads = read_tree(notes, keys, found)
    removals = {removal["week"]: removal for removal, _ in of_kind(texts, "removal", REMOVAL)}
    events = ColdEvents(cold, found, removals)
    for week, files in sorted(of_kind(texts, "week", WEEK), key=lambda row: row[0]["week"]):
        removal = removals.get(week["week"])
        if removal is None:
            events.check_week(week, files)
        elif (removal["events"], removal["root"]) != (week["events"], week["root"]):
            found.problems.append(
                f"week {week['week']}: was removed with another count or root than it was rolled with"
            )
        else:
            found.removed.append(
                f"week {week['week']}: {week['events']} events were removed under retention by {removal['removed_by']}:"
                f" {removal['reason']}"
            )
    batches = [batch for batch, _ in of_kind(texts, "checkpoint", CHECKPOINT)]
    for before, batch in pairwise(batches):
        if batch["epoch"] == before["epoch"] and batch["first_tx"] != before["end_tx"]:
            found.problems.append(f"batch {batch['n']}: does not begin where batch {before['n']} ends")
    for batch in batches:
        events.check_batch(batch)
    events.check_heads(heads)
    return found


# The proof of one event -----------------------------------------------------------------------------------------------


def check_proof(proof: dict[str, Any], keys: Sequence[Key]) -> dict[str, str]:
    """The proven event's columns; raises Bad for what proves nothing."""
    try:
        if proof["format"] != PROOF_FORMAT:
            raise WrongUse(f"proof: has the format {proof['format']!r}; this program reads {PROOF_FORMAT}")
        event, checkpoint = proof["event"], proof["checkpoint"]["canonical_text"]
        text: str = event["canonical_text"]
        in_batch, in_tree = _root(text, proof["batch"]), _root(checkpoint, proof["tree"])
        size = proof["tree"]["size"]
        note = open_note(proof["note"], keys)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WrongUse(f"proof: is not as `prove --json` writes it ({type(error).__name__}: {error})") from None
    fields = text.split(SEPARATOR)
    columns: dict[str, str] = dict(zip(("profile", *ENVELOPE), fields, strict=False))
    named = {name: columns.get(name) for name in ("event_id", "execution_id", "sequence", "event_type")}
    if named != {name: str(event.get(name)) for name in named} or leaf_of(text).hex() != event.get("leaf"):
        raise Bad("event: is named otherwise than its canonical text says")
    batch = dict(zip(("kind", "version", *CHECKPOINT), checkpoint.split(SEPARATOR), strict=False))
    if (batch.get("kind"), batch.get("version")) != ("checkpoint", "1"):
        raise Bad("checkpoint: is none")
    if in_batch is None or (in_batch.hex(), str(proof["batch"]["size"])) != (batch["root"], batch["events"]):
        raise Bad("batch: the event's path does not lead to the root that the checkpoint has")
    if batch["epoch"] != columns["epoch"] or not int(batch["first_tx"]) <= int(columns["tx"]) < int(batch["end_tx"]):
        raise Bad("batch: the event is not of the checkpoint's transactions")
    if in_tree is None or (in_tree, size) != (note.root, note.size):
        raise Bad("tree: the checkpoint's path does not lead to the root that the note signs")
    return columns


def _root(canonical_text: str, place: dict[str, Any]) -> bytes | None:
    path = [bytes.fromhex(node) for node in place["path"]]
    return root_of_inclusion(leaf_of(canonical_text), int(place["index"]), int(place["size"]), path)


def check_consistency(proof: dict[str, Any], keys: Sequence[Key]) -> tuple[Checkpoint, Checkpoint]:
    """The two trees of which one is proven to be the beginning of the other; raises Bad for what proves nothing."""
    try:
        notes = [open_note(proof[name], keys) for name in ("earlier_note", "later_note")]
        path = [bytes.fromhex(node) for node in proof["path"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WrongUse(f"proof: is not as `prove --since --json` writes it ({type(error).__name__}: {error})") from None
    earlier, later = notes
    if earlier.origin != later.origin:
        raise Bad(f"notes: are of two ledgers, {earlier.origin} and {later.origin}")
    if not is_consistent(earlier.size, later.size, earlier.root, later.root, path):
        raise Bad(f"path: does not show that the tree of {later.size} leaves goes on from that of {earlier.size}")
    return earlier, later


# The command ----------------------------------------------------------------------------------------------------------


def known_keys(given: Sequence[str], beside: Sequence[str]) -> list[Key]:
    """The keys that were given; else those that lie beside what is checked, with a word of caution."""
    if not given:
        print("note: the key is the one that came with the notes; compare it with one from a source that you trust:")
        for text in beside:
            print(f"  {text.strip()}")
    texts = beside if not given else []
    for text in given:
        path = Path(text)
        texts = [*texts, *(path.read_text(encoding="utf-8").splitlines() if path.is_file() else [text])]
    keys = [parse_key(text) for text in texts if text.strip()]
    if not keys:
        raise WrongUse("key: there is none; give the verifier key, or a file with it, as --key")
    return keys


def run(arguments: Sequence[str] | None = None) -> int:
    """One run of the command; answers the exit code."""
    parser = argparse.ArgumentParser(description="Verifies a ledger's cold files and signed notes, or a proof.")
    parser.add_argument("--cold", type=Path, metavar="DIR", help="folder of the cold Parquet files")
    parser.add_argument("--notes", type=Path, metavar="DIR", help="folder of one ledger's signed notes")
    parser.add_argument("--proof", type=Path, metavar="FILE", help="a proof that `ledger-pipeline prove --json` wrote")
    parser.add_argument("--key", action="append", default=[], metavar="KEY", help="verifier key, or a file with it")
    try:
        given = parser.parse_args(arguments)
    except SystemExit as wrong:
        return int(wrong.code or 0)
    try:
        if given.proof and not (given.cold or given.notes):
            return _run_proof(given.proof, given.key)
        if given.cold and given.notes and not given.proof:
            return _run_audit(given.cold, given.notes, given.key)
        raise WrongUse("expected --cold and --notes, or --proof")
    except (WrongUse, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run_audit(cold: Path, notes: Path, given: Sequence[str]) -> int:
    for name, folder in (("cold", cold), ("notes", notes)):
        if not folder.is_dir():
            raise WrongUse(f"{name}: {folder} is not a folder")
    beside = [path.read_text(encoding="utf-8") for path in sorted(notes.rglob("*.vkey"))]
    found = audit(cold, notes, known_keys(given, beside))
    for problem in found.problems:
        print(f"bad: {problem}")
    for removed in found.removed:
        print(removed)
    print(f"{found.notes} notes sign a tree of {found.leaves} leaves")
    print(f"{found.events} events of {found.executions} executions re-hashed, in {found.weeks} rolled weeks")
    print(f"{found.batches} batches checked; {found.open_batches} not, as events of theirs are not in these files")
    print(f"NOT as recorded: {len(found.problems)} problems" if found.problems else "all as recorded")
    return 1 if found.problems else 0


def _run_proof(path: Path, given: Sequence[str]) -> int:
    try:
        proof = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WrongUse(f"proof: {path} is no JSON ({error})") from None
    if not isinstance(proof, dict):
        raise WrongUse(f"proof: {path} is not as `prove --json` writes it")
    beside = proof.get("verifier_keys", [])
    keys = known_keys(given, beside if isinstance(beside, list) else [])
    try:
        if proof.get("format") == CONSISTENCY_FORMAT:
            earlier, later = check_consistency(proof, keys)
            print(f"proven: the tree of {later.size} leaves goes on from that of {earlier.size}, of {later.origin}")
            return 0
        columns = check_proof(proof, keys)
    except Bad as bad:
        print(f"NOT proven: {bad}")
        return 1
    for name in ("event_type", "event_id", "execution_id", "sequence", "operator_id", "workflow_name"):
        print(f"{name}: {columns[name]}")
    print(f"proven: recorded as it stands, and signed by {open_note(proof['note'], keys).origin}")
    return 0


if __name__ == "__main__":
    sys.exit(run())
