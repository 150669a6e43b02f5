"""The key that signs notes: an Ed25519 key in PEM, of the setting or made on first use."""

import os
import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ledger_pipeline.durable import sync
from ledger_pipeline.errors import InvalidInput
from ledger_pipeline.settings import Settings


def signing_key(settings: Settings) -> Ed25519PrivateKey:
    """The key that signs; made, and readable by its owner alone, when no file is set and there is none yet."""
    path = settings.signing_key
    if settings.signing_key_file is None and not path.exists():
        _make(path)
    return _read(path)


def known_signing_key(settings: Settings) -> Ed25519PrivateKey | None:
    """The key that signs; None where there is none yet."""
    return _read(settings.signing_key) if settings.signing_key.exists() else None


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise InvalidInput(
            f"LEDGER_SIGNING_KEY_FILE: {path} is not there; make one with `openssl genpkey -algorithm ed25519`, or "
            "unset it: then a key is made under the home"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"LEDGER_SIGNING_KEY_FILE: {path} holds no Ed25519 key in PEM without a password")
    return key


def _make(path: Path) -> None:
    """Processes that come at the same time agree on the key of whoever is first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{secrets.token_hex(8)}")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it never takes the place of a key that is there.
        os.link(draft, path)
        sync(path.parent)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
