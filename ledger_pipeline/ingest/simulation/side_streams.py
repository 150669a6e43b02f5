"""The simulated streams that are no workflow's: a re-pricing run and a customer's monthly token budget."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from random import Random
from typing import Any

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import BudgetScope, BudgetUnit, ExecutionKind
from ledger_pipeline.ingest.simulation.fleet import IN_HOUSE_MODEL
from ledger_pipeline.ingest.simulation.journal import SCHEDULER, Journal, Operator, bucket_tokens, spent_usd
from ledger_pipeline.ingest.simulation.population import population, uuid7
