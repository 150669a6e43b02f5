"""The models that simulated agents use, how the choice moves over time, and what one model call consumes."""

from dataclasses import dataclass
from random import Random
from typing import Any

from ledger_pipeline.ingest.simulation.definitions import Effort

IN_HOUSE_MODEL = "northwind-edge-7b"
"""No price book knows it: its calls are unpriced until somebody sets a price."""


@dataclass(frozen=True)
class Model:
    """A model and what its provider reports; speed in output tokens a second."""

    name: str
    provider: str | None
    tokens_per_second: float
    caches: bool = False
    writes_cache: bool = False
    reasons: bool = False


def _anthropic(name: str, speed: float) -> Model:
    return Model(name, "anthropic", speed, caches=True, writes_cache=True)


def _openai(name: str, speed: float, *, reasons: bool = False) -> Model:
    return Model(name, "openai", speed, caches=True, reasons=reasons)


def _google(name: str, speed: float) -> Model:
    return Model(name, "google", speed, caches=True, reasons=True)


@dataclass(frozen=True)
class Adoption:
    """A model's weight in its tier at the window's start and end; between them it moves linearly."""

    model: Model
    at_start: float
    at_end: float


TIERS: dict[str, tuple[Adoption, ...]] = {
    "flagship": (
        Adoption(_anthropic("claude-opus-4-1", 45), 5, 0),
        Adoption(_anthropic("claude-opus-4-5", 60), 0, 6),
        Adoption(_openai("gpt-5", 80, reasons=True), 3, 3),
        Adoption(_google("gemini-2.5-pro", 110), 2, 2),
    ),
    "standard": (
        Adoption(_anthropic("claude-sonnet-4-0", 65), 6, 0),
        Adoption(_anthropic("claude-sonnet-4-5", 70), 2, 7),
        Adoption(_openai("gpt-4o", 90), 4, 0.5),
        Adoption(_openai("gpt-5", 80, reasons=True), 0, 2.5),
        Adoption(_google("gemini-2.5-pro", 110), 1, 1),
    ),
    "small": (
        Adoption(_openai("gpt-4o-mini", 120), 6, 1),
        Adoption(_openai("gpt-5-mini", 140, reasons=True), 0, 3),
        Adoption(_anthropic("claude-haiku-4-5", 150), 1, 5),
        Adoption(_google("gemini-2.5-flash", 200), 2, 3),
    ),
    "in_house": (Adoption(Model(IN_HOUSE_MODEL, None, 60), 1, 1),),
}
AGENT_TIERS: dict[str, str] = {
    "security-analyst": "flagship",
    "researcher": "flagship",
    "capacity-planner": "flagship",
    "support-triager": "small",
    "anomaly-detective": "small",
    "documentation-writer": "small",
    "edge-classifier": "in_house",
}
"""Agents that are not named use the standard tier."""


def choose_model(agent: str | None, elapsed: float, rng: Random) -> Model:
    """The model of an agent's call at a point of the window, `elapsed` from 0 to 1."""
    tier = TIERS[AGENT_TIERS.get(agent or "", "standard")]
    weights = [(1 - elapsed) * adoption.at_start + elapsed * adoption.at_end for adoption in tier]
    return rng.choices(tier, weights=weights)[0].model


def _around(median: float, rng: Random) -> int:
    return max(1, round(rng.lognormvariate(0, 0.55) * median))


def draw_usage(model: Model, effort: Effort, turn: int, factor: float, rng: Random) -> dict[str, Any]:
    """The token buckets and latency of the `turn`-th model call of one agent call (from 0)."""
    # A conversation grows with every turn; what was said before is what a cache can serve.
    prompt = min(_around(effort.input_tokens * factor * (1 + 0.35 * turn), rng), 190_000)
    output = min(_around(effort.output_tokens * (factor if factor < 2 else factor**0.5), rng), 30_000)
    usage: dict[str, Any] = {"provider": model.provider, "model": model.name}
    fresh = prompt
    if model.caches and prompt > 1_024 and (turn > 0 or rng.random() < 0.25):
        cached = int(prompt * rng.uniform(0.45, 0.85))
        usage["cache_read_tokens"], fresh = cached, fresh - cached
    if model.writes_cache and turn == 0 and effort.calls[1] > 2:
        written = int(fresh * rng.uniform(0.5, 0.9))
        usage["cache_write_1h_tokens" if rng.random() < 0.15 else "cache_write_5m_tokens"] = written
        fresh -= written
    if model.reasons:
        usage["reasoning_tokens"] = _around(output * 0.6, rng)
    spoken = output + int(usage.get("reasoning_tokens", 0))
    latency = 350 + prompt * 0.02 + 1000 * spoken / (model.tokens_per_second * rng.uniform(0.7, 1.2))
    return usage | {"input_tokens": fresh, "output_tokens": output, "latency_ms": int(latency)}
