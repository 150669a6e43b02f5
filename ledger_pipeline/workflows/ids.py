"""Ids of rows that a command makes."""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def uuid7(at: datetime) -> UUID:
    """A UUID of version 7 (RFC 9562): the time in milliseconds, then 74 random bits."""
    milliseconds = max((at - _EPOCH) // timedelta(milliseconds=1), 0)
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    return UUID(int=value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)
