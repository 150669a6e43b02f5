"""Signed notes: published vectors, and what is refused."""

from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger_pipeline.cold.signed_note import LogCheckpoint, NoteInvalid, Signer, VerifierKey, open_note

pytestmark = pytest.mark.mission("A3")

TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNER_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VERIFIER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    f"{TEXT}\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""Of the reference implementation, golang.org/x/mod/sumdb/note."""

EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
"""Of the specification, c2sp.org/signed-note."""


def signer() -> Signer:
    seed = b64decode(SIGNER_KEY.split("+", 4)[4])[1:]
    return Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(seed))


def test_the_published_note_is_signed_byte_for_byte() -> None:
    assert signer().sign(TEXT) == NOTE
    assert str(signer().verifier_key) == VERIFIER_KEY


@pytest.mark.parametrize(("key", "note"), [(VERIFIER_KEY, NOTE), (EXAMPLE_KEY, EXAMPLE)])
def test_published_notes_are_opened(key: str, note: str) -> None:
    assert str(VerifierKey.parse(key)) == key
    assert open_note(note, [VerifierKey.parse(key)]) == note.partition("\n\n")[0] + "\n"


def test_a_note_that_others_have_signed_too_is_opened() -> None:
    known = [VerifierKey.parse(VERIFIER_KEY)]
    by_another = Signer("witness", Ed25519PrivateKey.generate()).sign(TEXT).rpartition("\n\n")[2]
    assert open_note(NOTE + by_another, known) == TEXT
    assert open_note(TEXT + "\n" + by_another + NOTE.rpartition("\n\n")[2], known) == TEXT


WRONG = {
    "a changed text": (NOTE.replace("cryptography", "cryptographY"), "false signature"),
    "a changed signature": (NOTE.replace("nAM=", "nAQ="), "false signature"),
    "no empty line": (NOTE.replace("\n\n", "\n"), "no signed note"),
    "no signature": (TEXT + "\n", "no signed note"),
    "no newline at the end": (NOTE[:-1], "no signed note"),
    "a hyphen for the dash": (NOTE.replace("—", "-"), "no signature"),
    "what isn't base64": (NOTE.replace("x08go", "x0!go"), "no signature"),
    "another key's": (EXAMPLE, "not signed by a known key"),
    "nothing": ("", "no signed note"),
}


@pytest.mark.parametrize(("note", "what"), WRONG.values(), ids=WRONG)
def test_a_note_that_is_not_what_was_signed_is_refused(note: str, what: str) -> None:
    with pytest.raises(NoteInvalid, match=what):
        open_note(note, [VerifierKey.parse(VERIFIER_KEY)])


@pytest.mark.parametrize(
    "key",
    ["", "name", VERIFIER_KEY.replace("c74f20a3", "c74f20a4"), VERIFIER_KEY[:-4], VERIFIER_KEY.replace("+AR", "+AQ")],
)
def test_what_is_no_verifier_key_is_refused(key: str) -> None:
    with pytest.raises(NoteInvalid, match=r"^key: "):
        VerifierKey.parse(key)


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    checkpoint = LogCheckpoint("example.com/behind-the-sofa", 20_852_163, bytes(range(32)), ("more",))
    text = str(checkpoint)
    assert text.startswith("example.com/behind-the-sofa\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    assert LogCheckpoint.parse(text) == checkpoint


@pytest.mark.parametrize(
    "text",
    ["", "a\n1\n", "a\n01\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", "a\n-1\nAAECAw==\n", "a\n1\nAAECAw==\n"],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid, match="is no checkpoint"):
        LogCheckpoint.parse(text)
