"""The parameters that a POST brings in its body, as JSON or as a form."""

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ledger_pipeline.api.answers import whole
from ledger_pipeline.errors import InvalidInput

MOST_BYTES = 64 * 1024


async def parameters_of(request: Request) -> list[tuple[str, Any]]:
    """Names and values as they came, repeated ones too.

    Raises InvalidInput for a query beside the body and for what is no object, HTTPException for a body that is too
    large or of another type.
    """
    if request.url.query:
        raise InvalidInput("query: a POST has its parameters in its body; allowed: none here")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _of_json(await _body(request))
    if kind == "application/x-www-form-urlencoded":
        return _of_form(await _body(request))
    raise HTTPException(415, "content-type: allowed: application/json or application/x-www-form-urlencoded")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"body: is too large; allowed: up to {MOST_BYTES} bytes")
    return bytes(body)


def _of_json(body: bytes) -> list[tuple[str, Any]]:
    try:
        pairs = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise InvalidInput("body: is no JSON") from None
    # An array of arrays can't be told from an object here, so the text says which it is.
    if not isinstance(pairs, list) or not body.lstrip().startswith(b"{"):
        raise InvalidInput('body: is no JSON object; allowed: such as {"action": "cleanup", "daysToKeep": 90}')
    return pairs  # pyright: ignore[reportUnknownVariableType]


def _of_form(body: bytes) -> list[tuple[str, Any]]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=100)
    except ValueError:
        raise InvalidInput("body: is no form; allowed: such as action=cleanup&daysToKeep=90") from None
    return [(name, whole(value)) for name, value in pairs]
