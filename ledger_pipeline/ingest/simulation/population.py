"""Who the simulated traffic belongs to: the same customers, users, agents and drives whatever the seed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from random import Random
from uuid import UUID

_FOUNDED = datetime(2025, 1, 1, tzinfo=UTC)


def uuid7(instant: datetime, random_bits: int) -> UUID:
    """A UUIDv7 (RFC 9562) of an instant; of `random_bits` the lowest 74 are used."""
    milliseconds = int(instant.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    high, low = (random_bits >> 62) & 0xFFF, random_bits & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def _id(kind: str, name: str) -> UUID:
    return uuid7(_FOUNDED, int.from_bytes(hashlib.sha256(f"{kind}/{name}".encode()).digest()[:16]))


@dataclass(frozen=True)
class Member:
    """A customer, user, agent or drive; users and drives belong to a customer."""

    id: UUID
    name: str
    customer: str = ""


@dataclass(frozen=True)
class Population:
    """Everybody that simulated events refer to."""

    customers: tuple[Member, ...]
    users: tuple[Member, ...]
    agents: tuple[Member, ...]
    drives: tuple[Member, ...]

    def agent(self, name: str) -> Member:
        """The agent of that name."""
        return next(agent for agent in self.agents if agent.name == name)

    def owners(self, rng: Random) -> tuple[Member, Member, Member]:
        """A customer with one of its users and one of its drives; big customers come more often."""
        customer = rng.choices(self.customers, weights=_SHARES)[0]
        users = [user for user in self.users if user.customer == customer.name]
        drives = [drive for drive in self.drives if drive.customer == customer.name]
        # The first user of a customer does half of its work.
        user = users[0] if rng.random() < 0.5 else rng.choice(users)
        return customer, user, rng.choice(drives)

    def approver(self, customer: UUID, rng: Random) -> Member:
        """Somebody of the customer who may decide."""
        name = next(member.name for member in self.customers if member.id == customer)
        return rng.choice([user for user in self.users if user.customer == name])


_CUSTOMERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Northwind Compute": (("Mira Holm", "Jonas Falk", "Ada Okafor", "Sven Lindqvist"), ("platform", "finops")),
    "Helios Retail": (("Priya Nair", "Tom Becker", "Lucia Romano"), ("storefront", "data")),
    "Kestrel Bank": (("Daniel Osei", "Hannah Weiss", "Marc Dubois"), ("risk", "operations")),
    "Bluefin Logistics": (("Yuki Tanaka", "Omar Haddad"), ("fleet",)),
    "Juniper Health": (("Elena Petrova", "Samuel Reyes"), ("clinical-ops",)),
}
_SHARES = (38, 26, 18, 11, 7)
_AGENTS = (
    *("cost-analyst", "performance-engineer", "quality-inspector", "infrastructure-operator", "capacity-planner"),
    *("code-reviewer", "security-analyst", "documentation-writer", "reliability-engineer", "anomaly-detective"),
    *("support-triager", "support-writer", "researcher", "release-manager", "edge-classifier"),
)


@cache
def population() -> Population:
    """The simulator's population; ids follow from the names, so every run shares them."""
    return Population(
        customers=tuple(Member(_id("customer", name), name) for name in _CUSTOMERS),
        users=tuple(
            Member(_id("user", f"{customer}/{name}"), name, customer)
            for customer, (names, _) in _CUSTOMERS.items()
            for name in names
        ),
        agents=tuple(Member(_id("agent", name), name) for name in _AGENTS),
        drives=tuple(
            Member(_id("drive", f"{customer}/{name}"), f"{customer.split()[0].lower()}-{name}", customer)
            for customer, (_, names) in _CUSTOMERS.items()
            for name in names
        ),
    )
