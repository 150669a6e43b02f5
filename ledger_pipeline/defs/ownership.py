"""Who looks after an asset, and the group that the asset graph shows it in."""

from typing import Final

ENGINEERING: Final = "team:data-engineering"
FINANCE: Final = "team:finops"
AUDIT: Final = "team:audit"

HOT: Final = "hot_store"
COLD: Final = "cold_store"
MART_GROUPS: Final = {"fact": "mart_facts", "aggregate": "mart_aggregates", "audit": "mart_audit"}
MART_OWNERS: Final = {"fact": ENGINEERING, "aggregate": FINANCE, "audit": AUDIT}
