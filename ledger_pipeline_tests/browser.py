"""A real browser, and programs that serve pages to it.

Screenshots go to `LEDGER_SCREENSHOTS`, by default the test's own folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from playwright.sync_api import Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 300
PAGE_SECONDS = 90
STOP_SECONDS = 90


@pytest.fixture
def browser_program() -> str:
    """The path of an installed browser; skips, saying what to install, where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser among {', '.join(BROWSERS)} (Debian: apt install chromium)")
    return found


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once the URL answers; fails with the log when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except HTTPError:
            return  # it answers, if only to ask who we are
        except (URLError, OSError):
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the page is not served:\n{log.read_text(errors='replace')}")
        time.sleep(0.5)


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks `up` to end, and ends by force what is left of its group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def page(browser_program: str) -> Iterator[Page]:
    """A page of a headless browser, big enough for the asset graph."""
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=arguments)
        opened = browser.new_page(viewport={"width": 3200, "height": 2000})
        opened.set_default_timeout(PAGE_SECONDS * 1000)
        opened.set_default_navigation_timeout(PAGE_SECONDS * 1000)
        expect.set_options(timeout=PAGE_SECONDS * 1000)
        yield opened
        browser.close()


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder that screenshots are written to."""
    folder = Path(os.environ.get("LEDGER_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shown(page: Page, text: str, seconds: float = PAGE_SECONDS) -> None:
    """Waits until the page shows exactly this text somewhere."""
    expect(page.get_by_text(text, exact=True).first).to_be_visible(timeout=seconds * 1000)
