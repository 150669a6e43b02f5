"""`notebook`: the notebooks over the marts, in the browser."""

import click

from ledger_pipeline.cli.parameters import example


@click.command(epilog=example("ledger-pipeline notebook cost --port 2719"))
@click.argument("name", type=click.Choice(["cost", "audit"]))
@click.option("--port", type=click.IntRange(1, 65535), default=2718, show_default=True, help="Port on 127.0.0.1.")
@click.option("--edit", type=click.Path(dir_okay=False), metavar="FILE", help="Open a copy in FILE to change it.")
def notebook(name: str, port: int, edit: str | None) -> None:
    """Open a notebook in the browser until Ctrl-C: cost analysis, or the audit of one execution.

    They read the published marts and, for replay and proof, the ledger; they write nothing. With --edit, a copy of your
    own to change: an existing file is opened as it is.
    """
    import os
    import secrets
    import shutil
    import sys
    from pathlib import Path

    from ledger_pipeline.cli.services import HOST, check_port
    from ledger_pipeline.marts.publish import connect_readonly, require_this_version
    from ledger_pipeline.settings import Settings

    settings = Settings.read()
    check_port(port)
    with connect_readonly(
        settings
    ) as marts:  # says what to do where there are no marts yet, or those of another version
        require_this_version(marts)
    page = Path(__file__).parents[2] / "notebooks" / f"{name}.py"
    if edit is not None and not Path(edit).exists():
        shutil.copyfile(page, edit)
    action = ["run", str(page)] if edit is None else ["edit", "--skip-update-check", edit]
    address = ["--host", HOST, "--port", str(port), "--headless", "--token", "--token-password-file", "-"]
    # The token keeps other users of this machine out; on a command line they could read it.
    token = secrets.token_urlsafe(24)
    reading, writing = os.pipe()
    os.write(writing, token.encode())
    os.close(writing)
    os.dup2(reading, 0)
    click.echo(f"Notebook: http://{HOST}:{port}?access_token={token} (Ctrl-C ends it)")
    sys.stdout.flush()
    # In place of this process: signals reach the server, and nothing is left behind.
    command = [sys.executable, "-m", "marimo", "-q", "-y", *action, *address]
    os.execve(sys.executable, command, os.environ | {"LEDGER_HOME": str(settings.home)})  # noqa: S606  no shell
