"""Fetching a document: what is tried again, what is given up, and what of the last good copy remains."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger_pipeline.errors import LedgerError
from ledger_pipeline.pricing.sources.fetch import SourceUnreadable, Web
from ledger_pipeline.pricing.sources.source import PriceCatalogue
from ledger_pipeline_tests.pricing.sources.web_server import Answer, WebServer

pytestmark = pytest.mark.mission("A14")

NOW = datetime(2026, 11, 20, tzinfo=UTC)
GOOD = Answer(b"good", etag='W/"v1"')


def read(web: Web, served: WebServer, refuse: bytes = b"bad") -> tuple[bytes, str]:
    """The body and version that would be read; a body that is refused is no catalogue."""
    seen: list[tuple[bytes, str]] = []

    def catalogue_of(body: bytes, version: str) -> PriceCatalogue:
        if body == refuse:
            raise LedgerError("no catalogue")
        seen.append((body, version))
        return PriceCatalogue("s", version, dated=False, prices=(), rules=())

    web.read("s", served.url, NOW, catalogue_of)
    return seen[0]


def test_the_version_is_the_etag_or_what_the_content_hashes_to(web: Web, served: WebServer) -> None:
    served.serve(GOOD)
    assert read(web, served) == (b"good", "v1")
    served.serve(b"good")
    assert read(web, served)[1] == "770e607624d68926"


def test_what_did_not_change_is_not_fetched_again(web: Web, served: WebServer) -> None:
    served.serve(GOOD)
    first = read(web, served)
    assert read(web, served) == first
    assert [asked.get("If-None-Match") for asked in served.asked] == [None, 'W/"v1"']
    served.serve(Answer(b"better", etag='"v2"'))
    assert read(web, served) == (b"better", "v2")


def test_a_copy_that_was_damaged_or_is_of_another_address_is_fetched_whole(
    web: Web, served: WebServer, tmp_path: Path
) -> None:
    served.serve(GOOD)
    read(web, served)
    copy = tmp_path / "prices" / "s"
    copy.write_bytes(copy.read_bytes()[:-1])
    assert read(web, served)[0] == b"good"
    assert "If-None-Match" not in served.asked[-1]
    served.url = served.url.replace("prices.json", "mirror.json")
    read(web, served)
    assert "If-None-Match" not in served.asked[-1]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_go_away_by_itself_is_tried_again_with_longer_pauses(
    web: Web, served: WebServer, pauses: list[float], status: int
) -> None:
    served.serve(Answer(status=status), Answer(status=status), GOOD)
    assert read(web, served)[0] == b"good"
    assert pauses == [0.001, 0.002]


def test_the_server_may_ask_for_a_longer_pause_but_not_for_ever(
    web: Web, served: WebServer, pauses: list[float]
) -> None:
    asked = [Answer(status=429, headers={"Retry-After": seconds}) for seconds in ("7", "86400")]
    served.serve(*asked, GOOD)
    read(web, served)
    assert pauses == [7, 30]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 204])
def test_what_will_not_change_is_given_up_at_once(web: Web, served: WebServer, status: int) -> None:
    served.serve(Answer(status=status))
    with pytest.raises(SourceUnreadable, match=f"answered {status}"):
        read(web, served)
    assert len(served.asked) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(status=500), "answered 500 Internal Server Error, 3 times"),
        (Answer(b"late", before=0.6), r"did not answer in time \(ReadTimeout\), 3 times"),
        (Answer(b"drip" * 20, between_bytes=0.1), "took more than 1 s, 3 times"),
        (Answer(b"cut", declared=10), "the connection failed"),
        (Answer(b"gzip", headers={"Content-Encoding": "gzip"}), "the connection failed"),
        (Answer(b"x" * 200_001), "more than 200,000 bytes"),
        (Answer(status=302, headers={"Location": "/prices.json"}), "redirect"),
        (Answer(b"bad"), "no catalogue"),
    ],
    ids=lambda value: None if isinstance(value, Answer) else str(value)[:20],
)
def test_a_failure_says_what_it_was_and_the_last_good_copy_stays(
    web: Web, served: WebServer, tmp_path: Path, answer: Answer, message: str
) -> None:
    served.serve(GOOD)
    read(web, served)
    kept = (tmp_path / "prices" / "s").read_bytes()
    served.serve(answer)
    with pytest.raises(LedgerError, match=message):
        read(web, served)
    assert (tmp_path / "prices" / "s").read_bytes() == kept
    assert [path.name for path in (tmp_path / "prices").iterdir()] == ["s"]


def test_a_server_that_is_not_there_is_named_as_a_failed_connection(web: Web, served: WebServer) -> None:
    served.url = "http://127.0.0.1:1/prices.json"
    with pytest.raises(SourceUnreadable, match="the connection failed"):
        read(web, served)
    served.url = "prices.json"
    with pytest.raises(SourceUnreadable, match=r"cannot be asked|the connection failed"):
        read(web, served)
