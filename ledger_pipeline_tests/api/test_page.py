"""`docs/api.md`: every command runs, and its tables are those of the code."""

import re
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from ledger_pipeline import Ledger
from ledger_pipeline.api.answers import ANSWERS
from ledger_pipeline.api.replies import STATUS
from ledger_pipeline.errors import LedgerError
from ledger_pipeline.settings import Settings
from ledger_pipeline_tests.api.serving import serving
from ledger_pipeline_tests.documents import blocks, ran_in_shell

pytestmark = pytest.mark.mission("C4")

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks with curl, which is not there")
def test_every_command_of_the_page_runs(tmp_path: Path, ledger_url: str) -> None:
    commands = "".join(blocks(PAGE, "sh"))
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(ledger_url))
    with Ledger.open(settings) as ledger, serving(ledger, settings.api_tokens) as api:
        ledger.seed(datetime.now(UTC))
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "LEDGER_HOME": str(settings.home),
            "LEDGER_DATABASE_URL": ledger_url,
            "no_proxy": "127.0.0.1",
        }
        done = ran_in_shell(commands.replace("http://127.0.0.1:8000", api.url), tmp_path, environment)
    assert '"error": {' not in done.stdout
    assert commands.count("curl ") == done.stdout.count("}{") + done.stdout.count("}name ") + 1


def rows(after: str) -> list[list[str]]:
    table = PAGE.partition(after)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]


def test_the_table_of_types_has_every_parameter() -> None:
    shown = {
        kind.strip("`"): set(re.findall(r"`([a-z_]+)`", given)) for kind, _, given in rows("| type | answers |")[1:]
    }
    page = {"cursor", "page_size"}
    assert shown == {kind: set(answer.spellings.values()) - page for kind, answer in ANSWERS.items()}


def test_the_table_of_errors_has_the_status_of_each() -> None:
    shown = {code: status for status, codes in rows("| status | codes |")[1:] for code in re.findall(r"`(\w+)`", codes)}
    kinds = {kind.code: kind for kind in STATUS} | {kind.code: kind for kind in _kinds(LedgerError)}
    own = {"unauthenticated", "method_not_allowed", "content_too_large", "unsupported_media_type", "internal_error"}
    for code in shown.keys() - own:
        kind = kinds[code]
        assert shown[code] == str(next(STATUS[one] for one in kind.__mro__ if one in STATUS)), code


def _kinds(of: type[LedgerError]) -> set[type[LedgerError]]:
    return {of, *(kind for one in of.__subclasses__() for kind in _kinds(one))}
