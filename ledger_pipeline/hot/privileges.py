"""The least privilege with which the embedded server's programs run; PostgreSQL refuses to run as root.

A plain user's programs run as that user. Root's run under a user id of their own, and the folders above the data
stay as they are, closed to that id: the programs reach the data through an open descriptor of its folder
(`/proc/self/fd/N` needs no permission on the folders above). Only where the binaries themselves lie below a closed
folder, as in a virtual environment under `/root`, do the programs keep one capability to read them.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger_pipeline.errors import ServerUnavailable

# Belongs to no account, in a range that neither Debian nor systemd gives out, and below 65536 so that it exists
# in the id map of a rootless container too.
SERVER_ID = 60843

# From nothing to most. A container's root often has the last only; it is also what runs a program that an umask
# of 077 closed to others.
CAPABILITIES = (None, "dac_read_search", "dac_override")


@dataclass(frozen=True)
class Identity:
    """The user and group id that programs run under."""

    uid: int
    gid: int


def running_as_root() -> bool:
    """Whether this process is root, so that the server needs an identity of its own."""
    return os.geteuid() == 0


def server_identity() -> Identity:
    """Who owns a new data folder and runs its server."""
    return Identity(SERVER_ID, SERVER_ID) if running_as_root() else Identity(os.geteuid(), os.getegid())


def initdb_identity() -> Identity:
    """Who runs `initdb`, which insists on a user id that has an account but uses it for nothing."""
    own = os.geteuid()
    if running_as_root():
        account = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
        if account is None:
            raise ServerUnavailable("initdb needs an account besides root, such as `nobody`: /etc/passwd has none")
        return Identity(account.pw_uid, account.pw_gid)
    try:
        pwd.getpwuid(own)
    except KeyError:
        raise ServerUnavailable(
            f"initdb needs an account for the user id {own}, and /etc/passwd has none: add one, run as a user that "
            "has one, or set LEDGER_DATABASE_URL"
        ) from None
    return server_identity()


def folder_owner(folder: Path) -> Identity:
    """Who owns a folder."""
    status = folder.stat()
    return Identity(status.st_uid, status.st_gid)


def give_tree(folder: Path, identity: Identity) -> None:
    """Makes `identity` the owner of a folder and of everything in it, following no link."""
    os.chown(folder, identity.uid, identity.gid, follow_symlinks=False)
    for _, folders, files, descriptor in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, identity.uid, identity.gid, dir_fd=descriptor, follow_symlinks=False)


@dataclass(frozen=True)
class Launcher:
    """Runs programs of `binaries` under an identity, on a folder that it passes to them as a descriptor."""

    binaries: Path
    prefix: tuple[str, ...]

    @classmethod
    def for_identity(cls, binaries: Path, identity: Identity) -> "Launcher":
        """The launcher with the fewest capabilities that runs the binaries; raises ServerUnavailable if none does."""
        if not running_as_root():
            return cls(binaries, ())
        setpriv = shutil.which("setpriv", path=os.defpath)
        if setpriv is None:
            raise ServerUnavailable("as root the embedded server needs `setpriv`: install util-linux")
        answer = ""
        for capability in CAPABILITIES:
            launcher = cls(binaries, _setpriv(setpriv, identity, capability))
            # Unlike `postgres --version`, this looks for its own path and libraries as the server will.
            tried = launcher.run(["pg_config", "--version"], timeout=60)
            if tried.returncode == 0:
                return launcher
            answer = tried.stdout.strip().rpartition("\n")[2]
        raise ServerUnavailable(f"{binaries} cannot be run under the unprivileged user id {identity.uid}: {answer}")

    def run(
        self, command: Sequence[str], *, timeout: float, descriptor: int | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Runs one program to its end, in seconds at most `timeout`; its `stdout` holds its errors as well."""
        program, *arguments = command
        try:
            return subprocess.run(
                [*self.prefix, str(self.binaries / program), *arguments],
                pass_fds=() if descriptor is None else (descriptor,),
                # Neither the caller's folder, which may be closed to the identity, nor its environment and secrets.
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServerUnavailable(f"the server's `{program}` did not end within {timeout:.0f} s") from None

    def path_of(self, folder: Path, descriptor: int) -> str:
        """How a program started by `run` names the folder that `descriptor` has open."""
        return f"/proc/self/fd/{descriptor}" if self.prefix else str(folder)


def _setpriv(setpriv: str, identity: Identity, capability: str | None) -> tuple[str, ...]:
    command = (setpriv, f"--reuid={identity.uid}", f"--regid={identity.gid}", "--clear-groups", "--no-new-privs")
    if capability is None:
        return (*command, "--inh-caps=-all")
    # access(2) ignores the capabilities of any other user than root unless no_setuid_fixup is set, and PostgreSQL
    # tests its own path with it.
    return (
        *command,
        f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=-all,+{capability}",
        "--securebits=+no_setuid_fixup",
    )
