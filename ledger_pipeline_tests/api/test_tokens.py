"""Tokens: told once, kept as hashes in a file of their owner's alone."""

import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from ledger_pipeline.api.tokens import Caller, TokenFile
from ledger_pipeline.errors import InvalidInput, NotFound

pytestmark = pytest.mark.mission("C4")

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keys" / "api-tokens.json"


@pytest.fixture
def tokens(path: Path) -> TokenFile:
    return TokenFile(path)


def test_a_token_names_whom_it_was_made_for(tokens: TokenFile) -> None:
    user = uuid4()
    for_service, for_user = tokens.add("job", None, NOW), tokens.add("ann", user, NOW)
    assert tokens.caller(for_service.encode(), NOW) == Caller("job", None)
    assert tokens.caller(for_user.encode(), NOW) == Caller("ann", user)


@pytest.mark.parametrize("wrong", [b"", b"ledger_", b"x" * 50, b"\xff\x00"])
def test_what_is_no_token_names_nobody(tokens: TokenFile, wrong: bytes) -> None:
    tokens.add("job", None, NOW)
    assert tokens.caller(wrong, NOW) is None


def test_without_a_file_nobody_is_named(tokens: TokenFile) -> None:
    assert tokens.tokens() == ()
    assert tokens.caller(b"ledger_x", NOW) is None


def test_a_token_has_256_random_bits_and_the_file_has_its_hash_only(tokens: TokenFile, path: Path) -> None:
    made = {tokens.add(f"t{number}", None, NOW) for number in range(20)}
    assert len(made) == 20
    assert all(len(token) == len("ledger_") + 43 for token in made)  # 43 characters of 6 bits
    assert not [
        token for token in made if token in path.read_text() or token.removeprefix("ledger_") in path.read_text()
    ]


def test_the_file_is_its_owners_alone(tokens: TokenFile, path: Path) -> None:
    tokens.add("job", None, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused(tokens: TokenFile, path: Path, mode: int) -> None:
    token = tokens.add("job", None, NOW)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match=r"api-tokens\.json: others may read or change it: `chmod 600` it"):
        tokens.tokens()
    with pytest.raises(InvalidInput):
        tokens.add("another", None, NOW)
    assert tokens.caller(token.encode(), NOW) is None
    path.chmod(0o600)
    assert tokens.caller(token.encode(), NOW) is not None


DAMAGES: dict[str, Callable[[str], str]] = {
    "no JSON": lambda text: text[:-5],
    "another object": lambda _: "{}",
    "a field more": lambda text: text.replace('"name"', '"nickname": "x", "name"'),
    "a hash cut off": lambda text: text.replace('"sha256": "', '"sha256": "0'),
    "an unknown kind": lambda text: text.replace("service", "everybody"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name_and_names_nobody(tokens: TokenFile, path: Path, damage: str) -> None:
    token = tokens.add("job", None, NOW)
    assert tokens.caller(token.encode(), NOW) is not None
    path.write_text(DAMAGES[damage](path.read_text()))
    with pytest.raises(InvalidInput, match=r"api-tokens\.json: is no file of tokens: "):
        tokens.tokens()
    assert tokens.caller(token.encode(), NOW) is None


def test_a_name_is_given_once(tokens: TokenFile) -> None:
    tokens.add("job", None, NOW)
    with pytest.raises(InvalidInput, match="name: job is taken already"):
        tokens.add("job", uuid4(), NOW)
    assert len(tokens.tokens()) == 1


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "x\n", "ä", "x" * 65])
def test_a_name_that_a_log_could_not_hold_is_refused(tokens: TokenFile, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"name: is .*; allowed: up to 64 letters, digits"):
        tokens.add(name, None, NOW)
    assert tokens.tokens() == ()


def test_a_token_counts_until_it_expires(tokens: TokenFile) -> None:
    token = tokens.add("job", None, NOW, NOW + timedelta(days=1)).encode()
    assert tokens.caller(token, NOW + timedelta(hours=23)) is not None
    assert tokens.caller(token, NOW + timedelta(days=1)) is None
    with pytest.raises(InvalidInput, match=r"expires: is .*; allowed: a time that is still to come"):
        tokens.add("late", None, NOW, NOW)


def test_a_removed_token_is_refused_from_the_next_request_on(tokens: TokenFile, path: Path) -> None:
    kept, removed = tokens.add("kept", None, NOW), tokens.add("removed", None, NOW)
    serving = TokenFile(path)
    assert serving.caller(removed.encode(), NOW) is not None
    tokens.remove("removed")
    assert serving.caller(removed.encode(), NOW) is None
    assert serving.caller(kept.encode(), NOW) is not None
    path.unlink()
    assert serving.caller(kept.encode(), NOW) is None
    with pytest.raises(NotFound, match="no token is called 'removed'"):
        tokens.remove("removed")


def test_tokens_that_are_added_at_the_same_time_are_all_kept(path: Path) -> None:
    names = {f"t{number}" for number in range(40)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: TokenFile(path).add(name, None, NOW), names))
    assert {token["name"] for token in json.loads(path.read_text())["tokens"]} == names
    assert [file.name for file in path.parent.iterdir()] == [path.name]
