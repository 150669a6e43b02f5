"""The result of an asset: Dagster recognises the bare class only, and the type checker wants its parameter."""

from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    Materialized = dg.MaterializeResult[Any]
else:
    Materialized = dg.MaterializeResult
