"""How long work goes: a live line on a terminal, plain lines elsewhere; on stderr, so that answers stay clean."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def counting(what: str, unit: str) -> Generator[Callable[[int], None]]:
    """A callable that is told how many units are done; on a terminal a live line, elsewhere one every few seconds."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"{what} …") as status:
            yield lambda done: status.update(f"{what}: {done:,} {unit} …")
        return
    last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            click.echo(f"{what}: {done:,} {unit}", err=True)

    yield tell


@contextmanager
def telling() -> Generator[Callable[[object], None]]:
    """A callable that is told what is being done, in words; each is kept as a line, the latest shown as alive."""
    if not sys.stderr.isatty():
        yield lambda message: click.echo(str(message), err=True)
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status("…") as status:

        def tell(message: object) -> None:
            status.update(f"{message} …")
            console.print(str(message), markup=False)

        yield tell
