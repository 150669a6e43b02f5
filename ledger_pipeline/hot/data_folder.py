"""The embedded server's data folder: created whole or not at all, configured once, cleared of a dead server's marks."""

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from ledger_pipeline.durable import sync
from ledger_pipeline.errors import ServerUnavailable
from ledger_pipeline.hot.privileges import (
    Launcher,
    folder_owner,
    give_tree,
    initdb_identity,
    running_as_root,
    server_identity,
)

MAJOR_VERSION = "18"
SOCKET_NAME = ".s.PGSQL.5432"
LOGS_KEPT = 8

_INITDB_SECONDS = 300
_SOCKET_PATH_BYTES = 107  # sockaddr_un holds 108 with the closing NUL
_UNFINISHED = "data.unfinished-"

_CONFIGURATION = """
# --- ledger-pipeline: written once, when this folder was created; change it freely, then restart the server ---

# Reached only through the socket in this folder, which is closed to everybody but its owner and root.
listen_addresses = ''
unix_socket_directories = '.'
max_connections = 100

# A read of every partition and a bulk append lock more tables at once than the default admits.
max_locks_per_transaction = 1024

# Everything acknowledged is on disk; bulk loads checkpoint by size rather than every few seconds.
fsync = on
synchronous_commit = on
wal_compression = on
checkpoint_timeout = 15min
max_wal_size = 2GB

shared_buffers = {shared_buffers}
# Containers have 64 MB of /dev/shm, too little for a parallel hash join.
dynamic_shared_memory_type = sysv
jit = off
timezone = 'UTC'
log_timezone = 'UTC'

# Files of at most 8 MB, old ones removed whenever the server starts; no statement text, which may hold a password
# or a customer's data.
logging_collector = on
log_directory = 'log'
log_filename = 'server-%Y%m%d-%H%M%S.log'
log_rotation_age = 0
log_rotation_size = 8MB
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""


def create_data_folder(folder: Path, binaries: Path) -> None:
    """Initialises a new cluster at `folder`, which appears only once it is complete."""
    _remove_unfinished(folder.parent)
    identity = initdb_identity()
    launcher = Launcher.for_identity(binaries, identity)
    new = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder.parent))
    if running_as_root():
        give_tree(new, identity)
    descriptor = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        done = launcher.run(
            [
                "initdb",
                f"--pgdata={launcher.path_of(new, descriptor)}",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--auth-local=trust",
                "--auth-host=reject",
            ],
            timeout=_INITDB_SECONDS,
            descriptor=descriptor,
        )
    finally:
        os.close(descriptor)
    if done.returncode != 0:
        shutil.rmtree(new)
        raise ServerUnavailable(f"a database cannot be created in {folder.parent}: {_reason(done.stdout)}")
    with (new / "postgresql.conf").open("a", encoding="utf-8") as configuration:
        configuration.write(_CONFIGURATION.format(shared_buffers=_shared_buffers()))
    if running_as_root():
        give_tree(new, server_identity())
    new.rename(folder)
    sync(folder.parent)


def check_data_folder(folder: Path) -> None:
    """Raises ServerUnavailable unless the folder holds a cluster that these binaries can run."""
    version_file = folder / "PG_VERSION"
    if not version_file.is_file():
        raise ServerUnavailable(f"{folder} is not a PostgreSQL data folder: move it away, and a new one is created")
    version = version_file.read_text(encoding="ascii").strip()
    if version != MAJOR_VERSION:
        raise ServerUnavailable(
            f"{folder} was written by PostgreSQL {version}, the installed binaries are {MAJOR_VERSION}: "
            f"dump it with PostgreSQL {version} and restore it into a new LEDGER_HOME"
        )


def remove_marks_of_dead_server(folder: Path) -> None:
    """Removes what a killed server left; only for a caller that knows that no process of it lives.

    A later process may have the dead server's id, or the dead one may wait unreaped as a zombie; for either the
    new server would refuse to start.
    """
    for name in ("postmaster.pid", SOCKET_NAME, SOCKET_NAME + ".lock", "start.log"):
        (folder / name).unlink(missing_ok=True)


def claim_folder(folder: Path) -> None:
    """As root, gives a folder that belongs to root, such as a restored copy, to the server's own identity."""
    if running_as_root() and folder_owner(folder).uid == 0:
        give_tree(folder, server_identity())


def remove_old_logs(folder: Path) -> None:
    """Keeps the newest log files, `LOGS_KEPT` of them."""
    for old in _logs(folder)[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)


def last_complaint(folder: Path) -> str:
    """The last serious lines that the server wrote, as one line."""
    lines = [
        line
        for file in [folder / "start.log", *_logs(folder)[-1:]]
        if file.is_file() and not file.is_symlink()
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if "FATAL:  the database system is" not in line  # the answer to whoever asks whether it is ready
    ]
    return re.sub(r"/proc/self/fd/\d+", lambda _: str(folder), _reason("\n".join(lines)))


def try_lock(descriptor: int) -> bool:
    """Takes an exclusive lock on an open file or folder if nobody holds one; programs it is passed to hold it too."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def socket_folder(data: Path) -> Path:
    """The data folder, where the server binds its socket, by a name that clients can use."""
    if len(os.fsencode(data / SOCKET_NAME)) <= _SOCKET_PATH_BYTES and "," not in str(data):
        return data
    # The address is too long for a client, or a comma would end it: a short link in a private folder leads there.
    folder = _short_name_folder(data)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ServerUnavailable(f"{folder}, needed for the long path of LEDGER_HOME, belongs to somebody else")
    link = folder / "data"
    with suppress(FileExistsError):
        link.symlink_to(data)
    return link


def remove_short_name(data: Path) -> None:
    """Removes the link that `socket_folder` made, if it did."""
    folder = _short_name_folder(data)
    with suppress(FileNotFoundError):
        (folder / "data").unlink()
        folder.rmdir()


def _short_name_folder(data: Path) -> Path:
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:24]
    # Not $TMPDIR, which may differ between processes that must agree; its owner is checked before use.
    return Path("/tmp") / f"ledger-pipeline-{os.geteuid()}-{name}"  # noqa: S108


def _remove_unfinished(parent: Path) -> None:
    for unfinished in parent.glob(_UNFINISHED + "*"):
        descriptor = os.open(unfinished, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if try_lock(descriptor):  # else the initdb of a killed process still writes there
                shutil.rmtree(unfinished)
        finally:
            os.close(descriptor)


def _logs(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob("server-*.log"))


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marks = ("FATAL", "PANIC", "error:", "could not", "invalid")
    serious = [line for line in lines if any(mark in line for mark in marks)]
    # The last line often only refers to the one before, which names the cause.
    return "; ".join((serious or lines)[-2:]) or "nothing"


def _shared_buffers() -> str:
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return f"{max(32, min(256, memory_mb // 8))}MB"
