"""Signed notes and the checkpoints of transparency logs, as C2SP has them (c2sp.org/signed-note, /tlog-checkpoint)."""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger_pipeline.errors import InvalidInput

_ED25519 = b"\x01"
_LINE = "\N{EM DASH} "
_MAX_SIGNATURES = 100
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[^\s+]+")


class NoteInvalid(InvalidInput):
    """What is no signed note, no checkpoint, or is not signed by a known key."""

    code = "note_invalid"


@dataclass(frozen=True)
class VerifierKey:
    """A public key with the name of who signs; as text, `name+hash+key`."""

    name: str
    key: bytes

    @property
    def hash(self) -> bytes:
        """The four bytes by which signatures name the key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.hash.hex()}+{b64encode(_ED25519 + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The key that a text names; raises NoteInvalid for another kind of key, and for a hash that isn't its."""
        name, _, rest = text.strip().partition("+")
        hash_text, _, key_text = rest.partition("+")
        key = _decoded(key_text)
        if not _NAME.fullmatch(name) or key is None or len(key) != 33 or key[:1] != _ED25519:
            raise NoteInvalid("key: is no verifier key of Ed25519; expected name+hash+base64, as beside the notes")
        parsed = cls(name, key[1:])
        if parsed.hash.hex() != hash_text:
            raise NoteInvalid(f"key: {name} has the hash {parsed.hash.hex()}, not {hash_text}")
        return parsed


@dataclass(frozen=True)
class Signer:
    """A private key with the name of who signs."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier_key(self) -> VerifierKey:
        """The key by which others verify what this one signs."""
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note: the text, which ends with a newline, an empty line, and a line with the signature."""
        if not text.endswith("\n"):
            raise ValueError("the text of a note ends with a newline")
        signature = self.verifier_key.hash + self.private.sign(text.encode())
        return f"{text}\n{_LINE}{self.name} {b64encode(signature).decode()}\n"


def open_note(note: str, known: Sequence[VerifierKey]) -> str:
    """The text of a note that a known key has signed; others may have signed it as well.

    Raises NoteInvalid for what is no note, for one that no known key has signed, and for a signature of a known key
    that is false.
    """
    head, separator, tail = note.rpartition("\n\n")
    lines = tail.splitlines()
    if not separator or not tail.endswith("\n") or not 0 < len(lines) <= _MAX_SIGNATURES:
        raise NoteInvalid("is no signed note: expected a text, an empty line, and lines with signatures")
    text = head + "\n"
    signed = False
    for line in lines:
        name, _, encoded = line.removeprefix(_LINE).partition(" ")
        signature = _decoded(encoded)
        if not line.startswith(_LINE) or not _NAME.fullmatch(name) or signature is None or len(signature) < 5:
            raise NoteInvalid(f"is no signed note: {line!r} is no signature")
        for key in known:
            if (key.name, key.hash) == (name, signature[:4]):
                try:
                    Ed25519PublicKey.from_public_bytes(key.key).verify(signature[4:], text.encode())
                except InvalidSignature:
                    raise NoteInvalid(f"has a false signature of {name}: it was changed after it was signed") from None
                signed = True
    if not signed:
        raise NoteInvalid("is not signed by a known key")
    return text


@dataclass(frozen=True)
class LogCheckpoint:
    """What a note of a log says: whose tree it is, its size and root; further lines are the log's own."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """What the text of a note says; raises NoteInvalid."""
        lines = text.removesuffix("\n").split("\n")
        root = _decoded(lines[2]) if len(lines) >= 3 else None
        if not text.endswith("\n") or root is None or len(root) != 32 or not _SIZE.fullmatch(lines[1]) or "" in lines:
            raise NoteInvalid("is no checkpoint: expected lines with origin, size and root of a tree")
        return cls(lines[0], int(lines[1]), root, tuple(lines[3:]))


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
