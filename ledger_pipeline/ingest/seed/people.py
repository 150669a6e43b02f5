"""Who the seeded executions belong to; ids follow from the names, so that seeding again adds nobody."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from ledger_pipeline.ingest.simulation.population import Member, Population, uuid7

_FOUNDED = datetime(2025, 1, 1, tzinfo=UTC)


def seed_id(*names: object) -> UUID:
    """The UUIDv7 of something that is seeded, the same whenever it is seeded."""
    digest = hashlib.sha256("/".join(["seed", *map(str, names)]).encode()).digest()
    return uuid7(_FOUNDED, int.from_bytes(digest[:16], "big"))


def _member(kind: str, name: str, customer: str = "") -> Member:
    return Member(seed_id(kind, customer, name), name, customer)


AURORA = _member("customer", "Aurora Robotics")
MERIDIAN = _member("customer", "Meridian Streaming")
COBALT = _member("customer", "Cobalt Insurance")

INES = _member("user", "Ines Moreau", AURORA.name)
RAHUL = _member("user", "Rahul Mehta", AURORA.name)
FREYA = _member("user", "Freya Lund", MERIDIAN.name)
TOBIAS = _member("user", "Tobias Brandt", COBALT.name)

AURORA_FINOPS = _member("drive", "aurora-finops", AURORA.name)
MERIDIAN_PLATFORM = _member("drive", "meridian-platform", MERIDIAN.name)
COBALT_QUALITY = _member("drive", "cobalt-quality", COBALT.name)

COST_AGENT = _member("agent", "cost-agent")
REPORT_AGENT = _member("agent", "report-agent")
PERFORMANCE_AGENT = _member("agent", "performance-agent")
QUALITY_AGENT = _member("agent", "quality-agent")

PEOPLE = Population(
    customers=(AURORA, MERIDIAN, COBALT),
    users=(INES, RAHUL, FREYA, TOBIAS),
    agents=(COST_AGENT, REPORT_AGENT, PERFORMANCE_AGENT, QUALITY_AGENT),
    drives=(AURORA_FINOPS, MERIDIAN_PLATFORM, COBALT_QUALITY),
)
