"""Every kind of error has a code of its own, which programs and the HTTP API rely on."""

import re
from collections.abc import Iterator

from ledger_pipeline import errors


def kinds(of: type[errors.LedgerError] = errors.LedgerError) -> Iterator[type[errors.LedgerError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    own = [kind for kind in kinds() if kind.__module__ == errors.__name__]
    codes = [kind.__dict__["code"] for kind in own]
    assert len(set(codes)) == len(codes) > 10
    assert all(re.fullmatch("[a-z_]+", code) for code in codes)
