"""What the API replies: exact JSON, and one status for each kind of error."""

import logging
from collections.abc import Mapping
from typing import Any

import simplejson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ledger_pipeline.cold.sessions import Held
from ledger_pipeline.errors import (
    ColdStoreUnreachable,
    ColdStoreUnwritable,
    DeletionRefused,
    EpochMismatch,
    EventsRemoved,
    IdempotencyConflict,
    InvalidInput,
    InvalidTransition,
    LedgerError,
    NotFound,
    PermissionDenied,
    SchemaMismatch,
    SequenceConflict,
    ServerUnavailable,
    VersionConflict,
)

STATUS: dict[type[LedgerError], int] = {
    InvalidInput: 400,
    PermissionDenied: 403,
    NotFound: 404,
    DeletionRefused: 409,
    Held: 409,
    IdempotencyConflict: 409,
    InvalidTransition: 409,
    SequenceConflict: 409,
    VersionConflict: 409,
    EventsRemoved: 410,
    LedgerError: 500,
    ColdStoreUnreachable: 503,
    ColdStoreUnwritable: 503,
    EpochMismatch: 503,
    SchemaMismatch: 503,
    ServerUnavailable: 503,
}
"""The status of a kind of error and of what it includes, unless that has its own; 500 is what is damaged or missing."""

_CODE = {404: "not_found", 405: "method_not_allowed", 413: "content_too_large", 415: "unsupported_media_type"}
_UNTOLD = "the ledger can't answer this now; what is wrong stands in the log of the API"

logger = logging.getLogger(__name__)


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply in JSON that nobody keeps; decimals of free JSON are numbers, digit by digit."""
    return Response(
        simplejson.dumps(content, ensure_ascii=False, use_decimal=True).encode(),
        status,
        {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
        "application/json",
    )


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A reply that says what was wrong."""
    return reply({"error": {"code": code, "message": message}}, status, headers)


async def of_ledger_error(request: Request, error: Exception) -> Response:
    """The ledger's own words; of what is wrong with the ledger itself, the service alone is told them."""
    assert isinstance(error, LedgerError)
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status < 500:
        return refusal(status, error.code, str(error))
    logger.error("%s: %s", error.code, error)
    return refusal(status, error.code, _UNTOLD if request.scope["caller"].user else str(error))


async def of_http_error(request: Request, error: Exception) -> Response:
    """For a path, a method or a body that the API doesn't have."""
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, _CODE.get(error.status_code, "bad_request"), error.detail, error.headers)


async def of_unexpected(request: Request, error: Exception) -> Response:
    """Without internals; the server logs the error."""
    return refusal(500, "internal_error", _UNTOLD)


HANDLERS: dict[Any, Any] = {LedgerError: of_ledger_error, HTTPException: of_http_error, Exception: of_unexpected}
