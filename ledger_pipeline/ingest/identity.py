"""Ids that follow from content, so that importing a file again, or grown, or from another path, gives the same ones."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def content_event_id(occurred_at: datetime, content: bytes) -> UUID:
    """A UUID of version 7 (RFC 9562): the event's time in milliseconds, then 74 bits of SHA-256 of its content."""
    milliseconds = (occurred_at - _EPOCH) // timedelta(milliseconds=1)
    digest = int.from_bytes(hashlib.sha256(content).digest()[:10], "big")
    value = (milliseconds & (2**48 - 1)) << 80 | digest
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
