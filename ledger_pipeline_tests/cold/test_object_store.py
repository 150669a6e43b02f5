"""Cold files in object storage, on a real S3 server: nothing is written over, lost, or taken for what it isn't."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import pytest

from ledger_pipeline.cold import object_store
from ledger_pipeline.cold import roll as roll_module
from ledger_pipeline.cold.feed import read_feed
from ledger_pipeline.cold.files import StagedFile, check_file
from ledger_pipeline.cold.manifest import ColdFile, committed_weeks
from ledger_pipeline.cold.reader import execution_events, scan_events
from ledger_pipeline.cold.restore import restore_week
from ledger_pipeline.cold.roll import orphans, roll, roll_week
from ledger_pipeline.errors import (
    ColdStoreDamaged,
    ColdStoreUnreachable,
    ColdStoreUnwritable,
    InvalidInput,
    LedgerError,
)
from ledger_pipeline.events.state_text import state_text
from ledger_pipeline.hot.database import Connection, connect
from ledger_pipeline.replay.replay import replay
from ledger_pipeline.replay.verify import verify
from ledger_pipeline.settings import Bucket, Settings
from ledger_pipeline_tests.cold.histories import MONDAY, NOW, fill, hot_events
from ledger_pipeline_tests.object_storage import SECRETS, Cut, wire_to

pytestmark = pytest.mark.mission("A5")


@pytest.fixture
def settings(s3_settings: Settings) -> Settings:
    return s3_settings


def contents(connection: Connection, settings: Settings) -> list[dict[str, Any]]:
    return [row for batch in scan_events(connection, settings.cold_dir) for row in batch.to_pylist()]


def stored(bucket: Bucket) -> dict[str, bytes]:
    """Every object of the bucket, by key."""
    s3 = object_store.client()
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket.name).get("Contents", ())]
    return {key: s3.get_object(Bucket=bucket.name, Key=key)["Body"].read() for key in keys}


def forget_copies(bucket: Bucket) -> None:
    for path in bucket.copies.rglob("*.parquet"):
        path.unlink()


def first_file(connection: Connection) -> ColdFile:
    return committed_weeks(connection)[0].files[0]


def replace(bucket: Bucket, name: str, content: bytes) -> None:
    object_store.client().put_object(Bucket=bucket.name, Key=bucket.key(name), Body=content)


def test_every_reader_reads_what_was_rolled(connection: Connection, settings: Settings, bucket: Bucket) -> None:
    fill(connection)
    before = contents(connection, settings)
    ids = sorted({UUID(row["execution_id"]) for row in before})
    states = [state_text(replay(connection, bucket, each)) for each in ids]
    own = [list(execution_events(connection, bucket, each)) for each in ids]
    roll(connection, settings, NOW)
    assert not hot_events(connection)
    for _ in range(2):
        assert contents(connection, settings) == before
        assert [state_text(replay(connection, bucket, each)) for each in ids] == states
        assert [list(execution_events(connection, bucket, each)) for each in ids] == own
        assert sum(batch.num_rows for batch in read_feed(connection, bucket).batches) == len(before)
        assert verify(connection, bucket).problems == []
        forget_copies(bucket)
    assert restore_week(connection, bucket, MONDAY).events > 0


def test_objects_are_those_of_the_manifest_below_prefix_and_instance(
    connection: Connection, settings: Settings, bucket: Bucket
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    weeks = committed_weeks(connection)
    named = {f"of/the/team/{file.name}": file.sha256 for week in weeks for file in week.files}
    assert {key: sha256(content).hexdigest() for key, content in stored(bucket).items()} == named
    assert all(key.startswith(f"of/the/team/{weeks[0].instance_id}/week=") for key in named)
    assert not (settings.home / "cold").exists()
    assert [path for path in bucket.copies.rglob("*") if path.is_file() and path.suffix != ".parquet"] == []


def test_a_copy_is_made_once_and_a_damaged_one_anew(
    connection: Connection, settings: Settings, bucket: Bucket, use_endpoint: Callable[[str], None]
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    file = first_file(connection)
    with wire_to(os.environ["AWS_ENDPOINT_URL"]) as wire:
        use_endpoint(wire.url)
        path = check_file(bucket, file)
        assert wire.requests == []
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"x")
        assert check_file(bucket, file).read_bytes() == whole
        asked = len(wire.requests)
        assert asked > 0
        assert check_file(bucket, file, again=True).read_bytes() == whole
        assert len(wire.requests) > asked


class Interrupted(Exception):
    """Stands for a process that ends."""


@pytest.mark.slow
def test_whoever_comes_next_goes_on_where_a_roll_was_interrupted(
    connection: Connection, ledger_url: str, settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection)
    before = contents(connection, settings)
    steps = [(roll_module, name) for name in ("_sealed", "_written", "_verified", "_committed")]
    for module, step in [*steps[:1], (object_store, "upload"), *steps[1:]]:
        for already_done in (False, True):
            original = getattr(module, step)

            def broken_off(
                *given: object, original: Callable[..., object] = original, already_done: bool = already_done
            ) -> object:
                if already_done:
                    original(*given)
                raise Interrupted

            with connect(ledger_url) as next_one, monkeypatch.context() as patch:
                patch.setattr(module, step, broken_off)
                with pytest.raises(Interrupted):
                    roll(next_one, settings, NOW)
            assert contents(connection, settings) == before, (step, already_done)
    roll(connection, settings, NOW)
    assert contents(connection, settings) == before
    assert not hot_events(connection)
    assert orphans(connection, settings) == []


ROLLER = """
import sys
from datetime import datetime
from ledger_pipeline.cold import object_store
from ledger_pipeline.cold.roll import roll
from ledger_pipeline.hot.database import connect
from ledger_pipeline.settings import Settings
object_store.PART_BYTES = int(sys.argv[2])
with connect(sys.argv[1], autocommit=True) as connection:
    roll(connection, Settings.read(), datetime.fromisoformat(sys.argv[3]))
"""


def roller(ledger_url: str, settings: Settings, part_bytes: int = object_store.PART_BYTES) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "LEDGER_HOME": str(settings.home), "LEDGER_COLD_URL": str(settings.cold_url)}
    command = [sys.executable, "-c", ROLLER, ledger_url, str(part_bytes), NOW.isoformat()]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "ask", "answered", "part_bytes", "left"),
    [
        ("PUT", ".parquet", False, 1 << 20, 0),
        ("PUT", ".parquet", True, 1 << 20, 1),
        ("GET", ".parquet", False, 1 << 20, 0),
        ("PUT", "partNumber=2", True, 5 << 10, 1),
        ("POST", "uploadId=", False, 5 << 10, 1),
        ("POST", "uploadId=", True, 5 << 10, 0),
    ],
)
def test_a_roll_that_is_killed_on_its_way_to_the_store_is_gone_on_with(
    method: str,
    ask: str,
    answered: bool,
    part_bytes: int,
    left: int,
    connection: Connection,
    ledger_url: str,
    settings: Settings,
    bucket: Bucket,
    use_endpoint: Callable[[str], None],
) -> None:
    server = os.environ["AWS_ENDPOINT_URL"]
    fill(connection)
    before = contents(connection, settings)
    with wire_to(server) as wire:
        use_endpoint(wire.url)
        process = roller(ledger_url, settings, part_bytes)

        def kill(own_method: str, path: str) -> None:
            if own_method == method and ask in path:
                process.send_signal(signal.SIGKILL)
                raise Cut

        if answered:
            wire.after = kill
        else:
            wire.before = kill
        _, error = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, error.decode()
    use_endpoint(server)
    assert contents(connection, settings) == before
    found = orphans(connection, settings)
    assert len(found) >= left
    roll(connection, settings, NOW)
    assert contents(connection, settings) == before
    assert not hot_events(connection)
    assert verify(connection, bucket).problems == []
    found = orphans(connection, settings, remove=True)
    assert all(each.upload for each in found)
    assert orphans(connection, settings) == []
    assert contents(connection, settings) == before


@pytest.mark.parametrize("part_bytes", [1 << 20, 5 << 10])
def test_an_answer_that_is_lost_after_the_object_was_stored_does_no_harm(
    part_bytes: int,
    connection: Connection,
    settings: Settings,
    bucket: Bucket,
    use_endpoint: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(object_store, "PART_BYTES", part_bytes)
    fill(connection)
    before = contents(connection, settings)
    lost: list[str] = []

    def lose(method: str, path: str) -> None:
        if (method == "PUT" and ".parquet" in path and path not in lost) or (method == "POST" and "uploadId" in path):
            lost.append(path)
            if lost.count(path) == 1:
                raise Cut

    with wire_to(os.environ["AWS_ENDPOINT_URL"]) as wire:
        use_endpoint(wire.url)
        wire.after = lose
        roll(connection, settings, NOW)
        assert len(lost) >= 3
        assert contents(connection, settings) == before
        assert not hot_events(connection)


@pytest.mark.slow
def test_two_rolls_at_once_share_the_work(
    connection: Connection, ledger_url: str, settings: Settings, bucket: Bucket
) -> None:
    fill(connection, 40)
    before = contents(connection, settings)
    processes = [roller(ledger_url, settings) for _ in range(2)]
    for process in processes:
        _, error = process.communicate(timeout=200)
        assert process.returncode == 0, error.decode()
    assert contents(connection, settings) == before
    assert not hot_events(connection)
    assert len(stored(bucket)) == sum(len(week.files) for week in committed_weeks(connection))


def publish(bucket: Bucket, content: bytes) -> tuple[str, str]:
    file = StagedFile(bucket, PurePosixPath("an-instance/week=2025-01-06"))
    try:
        file.write(content)
        return file.publish()
    finally:
        file.discard()


@pytest.mark.parametrize("size", [10, 12 << 20])
def test_nothing_is_written_over(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(object_store, "PART_BYTES", 5 << 20)
    content = b"0123456789" * (size // 10)
    name, digest = publish(bucket, content)
    assert stored(bucket) == {bucket.key(name): content}
    assert publish(bucket, content) == (name, digest)
    replace(bucket, name, b"other")
    with pytest.raises(ColdStoreUnwritable, match=rf"{name} is there with other content .*: move that object away"):
        publish(bucket, content)
    assert stored(bucket) == {bucket.key(name): b"other"}
    assert object_store.objects_below(bucket, "an-instance")[-1].upload is None
    assert list(bucket.copies.iterdir()) == []


def test_writers_of_one_file_at_the_same_time_store_it_once(bucket: Bucket) -> None:
    names: list[tuple[str, str]] = []
    threads = [threading.Thread(target=lambda: names.append(publish(bucket, b"the same" * 1000))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(names), len(set(names)), len(stored(bucket))) == (8, 1, 1)


def test_a_ledger_touches_nothing_of_another_one(
    make_ledger: Callable[[], str], settings: Settings, bucket: Bucket
) -> None:
    for seed in (1, 2):
        with connect(make_ledger(), autocommit=True) as connection:
            fill(connection, seed=seed)
            there = stored(bucket)
            roll(connection, settings, NOW)
            assert orphans(connection, settings, remove=True) == []
            assert there.items() <= stored(bucket).items()
    assert len(stored(bucket)) == 6


def test_orphans_are_listed_and_removed_on_request_only(
    connection: Connection, settings: Settings, bucket: Bucket
) -> None:
    fill(connection)
    roll(connection, settings, NOW)
    there = stored(bucket)
    week = committed_weeks(connection)[0]
    foreign = f"{week.instance_id}/week=2025-01-06/foreign.parquet"
    replace(bucket, foreign, b"abc")
    replace(bucket, "elsewhere/foreign.parquet", b"abc")
    unfinished = {"Bucket": bucket.name, "Key": bucket.key(f"{week.instance_id}/begun.parquet")}
    s3 = object_store.client()
    upload = s3.create_multipart_upload(**unfinished)["UploadId"]
    s3.upload_part(**unfinished, UploadId=upload, PartNumber=1, Body=b"abcd")
    for remove in (False, True):
        found = orphans(connection, settings, remove=remove)
        assert {(each.name, each.bytes, each.upload) for each in found} == {
            (foreign, 3, None),
            (f"{week.instance_id}/begun.parquet", 4, upload),
        }
    assert orphans(connection, settings) == []
    assert stored(bucket) == {**there, bucket.key("elsewhere/foreign.parquet"): b"abc"}


@pytest.fixture
def rolled(connection: Connection, settings: Settings) -> Connection:
    fill(connection)
    roll(connection, settings, NOW)
    return connection


def test_a_tampered_object_is_named(rolled: Connection, bucket: Bucket) -> None:
    file = first_file(rolled)
    whole = stored(bucket)[bucket.key(file.name)]
    for content, what in ((whole[:-1] + b"x", "was altered"), (whole[:-1], f"has {len(whole) - 1} bytes")):
        replace(bucket, file.name, content)
        (problem,) = verify(rolled, bucket).problems
        assert problem.file == file.name
        assert f"{bucket}/{file.name} {what}" in problem.what
        forget_copies(bucket)
        with pytest.raises(ColdStoreDamaged, match=rf"{bucket}/{file.name} {what}"):
            contents(rolled, Settings(cold_url=str(bucket), home=bucket.copies.parents[1]))
        assert verify(rolled, bucket).problems[0].file == file.name
    replace(bucket, file.name, whole)
    assert verify(rolled, bucket).problems == []


def test_a_missing_object_is_named(rolled: Connection, bucket: Bucket) -> None:
    file = first_file(rolled)
    object_store.remove(bucket, file.name)
    (problem,) = verify(rolled, bucket).problems
    assert (problem.file, f"{bucket}/{file.name} is missing" in problem.what) == (file.name, True)
    forget_copies(bucket)
    with pytest.raises(ColdStoreDamaged, match=rf"{bucket}/{file.name} is missing"):
        list(scan_events(rolled, bucket))
    with pytest.raises(ColdStoreDamaged, match=rf"{bucket}/{file.name} is missing"):
        list(read_feed(rolled, bucket).batches)


def test_files_lost_before_the_commit_are_written_again(
    connection: Connection, settings: Settings, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection)
    before = contents(connection, settings)

    def broken_off(*_: object) -> object:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(roll_module, "_committed", broken_off)
        with pytest.raises(Interrupted):
            roll_week(connection, settings, MONDAY, NOW)
    for key in stored(bucket):
        object_store.remove(bucket, key.removeprefix("of/the/team/"))
    roll(connection, settings, NOW)
    assert contents(connection, settings) == before


REFUSED = "http://127.0.0.1:9"
"""Nothing listens on the port of the discard protocol."""


def attempts(connection: Connection, settings: Settings) -> dict[str, Callable[[], object]]:
    """What must all fail when the store can't be reached."""
    store = settings.cold_dir
    return {
        "read": lambda: contents(connection, settings),
        "verify": lambda: verify(connection, store),
        "feed": lambda: list(read_feed(connection, store).batches),
        "orphans": lambda: orphans(connection, settings, remove=True),
        "restore": lambda: restore_week(connection, store, MONDAY),
    }


@pytest.mark.parametrize("way", ["refused", "cut off", "forbidden", "no bucket", "no credentials"])
def test_an_unreachable_store_is_neither_damaged_nor_empty(
    way: str,
    rolled: Connection,
    settings: Settings,
    bucket: Bucket,
    use_endpoint: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def cut(method: str, path: str) -> None:
        raise Cut

    what = {"refused": "127.0.0.1:9", "no bucket": "has no bucket", "no credentials": "NoCredentials"}.get(way, "at ")
    with wire_to(os.environ["AWS_ENDPOINT_URL"]) as wire:
        if way == "refused":
            use_endpoint(REFUSED)
        elif way == "cut off":
            wire.before = cut
            use_endpoint(wire.url)
        elif way == "forbidden":
            wire.forbids = True
            use_endpoint(wire.url)
            what = "answers AccessDenied|answers 403"
        elif way == "no bucket":
            settings = settings.model_copy(update={"cold_url": "s3://no-such-bucket-here/of/the/team"})
        else:
            use_endpoint(wire.url)
            for name in SECRETS:
                monkeypatch.delenv(name)
        forget_copies(bucket)
        for name, attempt in attempts(rolled, settings).items():
            with pytest.raises(ColdStoreUnreachable, match=what) as failure:
                attempt()
            assert_no_secret(str(failure.value), repr(failure.value), repr(settings))
            assert failure.value.__suppress_context__, name
        fill(rolled, 1, seed=9)
        before = hot_events(rolled)
        with pytest.raises((ColdStoreUnreachable, ColdStoreUnwritable)) as refused:
            roll(rolled, settings, NOW)
        assert_no_secret(str(refused.value))
        assert hot_events(rolled) == before
    assert_no_secret(*capfd.readouterr())


def assert_no_secret(*texts: str) -> None:
    for text in texts:
        assert not [secret for secret in SECRETS.values() if secret in text]


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///prefix", "s3://b", "s3://bucket/../other", "s3://bucket//x", "s3://bucket/a?b=c", "gs://bucket"],
)
def test_a_wrong_url_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_COLD_URL", url)
    with pytest.raises(InvalidInput, match=r"LEDGER_COLD_URL: .*must be a folder or s3://bucket/prefix"):
        Settings.read()


def test_credentials_in_the_url_are_refused_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_COLD_URL", "s3://AKIAX:secretword@bucket/prefix")
    with pytest.raises(InvalidInput, match="LEDGER_COLD_URL") as refused:
        Settings.read()
    assert "secretword" not in str(refused.value)
    with pytest.raises(ValueError, match="cold_url") as invalid:
        Settings(cold_url="s3://AKIAX:secretword@bucket/prefix")
    assert "secretword" not in str(invalid.value)


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://elsewhere", "http://name:secretword@127.0.0.1:9"])
def test_an_endpoint_that_is_none_is_refused(
    endpoint: str, bucket: Bucket, use_endpoint: Callable[[str], None]
) -> None:
    use_endpoint(endpoint)
    with pytest.raises(ColdStoreUnreachable) as refused:
        object_store.objects_below(bucket, "x")
    assert "secretword" not in str(refused.value)


def test_credentials_of_a_profile_are_used(
    bucket: Bucket, use_endpoint: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    for name in SECRETS:
        monkeypatch.delenv(name)
    credentials = tmp_path / "credentials"
    credentials.write_text("[archive]\naws_access_key_id = AKIAOFTHEPROFILE\naws_secret_access_key = secretword\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "archive")
    use_endpoint(endpoint)
    assert object_store.objects_below(bucket, "x") == []
    monkeypatch.setenv("AWS_PROFILE", "another")
    use_endpoint(endpoint)
    with pytest.raises(LedgerError, match="ProfileNotFound"):
        object_store.objects_below(bucket, "x")
