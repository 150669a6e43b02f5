"""The running performance tuning: two steps done, one at work, one to come, with the baseline it measured."""

from datetime import datetime, timedelta

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import ArtifactType, LogLevel, WorkflowType
from ledger_pipeline.ingest.seed.definitions import PERFORMANCE_TUNING
from ledger_pipeline.ingest.seed.documents import json_document
from ledger_pipeline.ingest.seed.people import FREYA, MERIDIAN, MERIDIAN_PLATFORM, PERFORMANCE_AGENT
from ledger_pipeline.ingest.seed.story import Follow, Keep, Position, Story

NAME = "performance_tuning"

_BASELINE = {
    "service": "transcoder-api",
    "requests_per_second": 1_840,
    "latency_ms": {"p50": 96, "p95": 412, "p99": 980},
    "gpu_utilisation": 0.63,
    "error_rate": 0.0021,
    "samples": [388, 402, 415, 409, 421, 412],
}


def performance_tuning(now: datetime, keep: Keep, follow: Follow) -> Story:
    """Began about half an hour before `now`, and goes on."""
    story = Story(
        NAME,
        now - timedelta(minutes=28),
        PERFORMANCE_AGENT,
        (
            Position("collect_baseline", PERFORMANCE_AGENT, tool="run_load_test"),
            Position("identify_bottlenecks", PERFORMANCE_AGENT),
            Position("tune_parameters", PERFORMANCE_AGENT),
            Position("validate_improvement", PERFORMANCE_AGENT, tool="run_load_test"),
        ),
        keep,
        follow,
    )
    story.create(
        FREYA,
        MERIDIAN,
        MERIDIAN_PLATFORM,
        PERFORMANCE_TUNING,
        workflow_type=WorkflowType.PERFORMANCE_TUNING,
        mode="operations",
        parameters={"service": "transcoder-api", "target_p95_ms": 300, "max_cost_increase_percent": 5},
        trigger_context={"channel": "alert", "alert": "p95 above 400 ms for 15 minutes"},
        metadata={"environment": "production", "region": "eu-west-1"},
    )
    step = "collect_baseline"
    story.dispatch(step, {"minutes": 5}, service="transcoder-api", minutes=5, concurrency=64)
    story.wait(318)
    story.keep(step, ArtifactType.METRICS, "baseline-metrics.json", json_document(_BASELINE), samples=6)
    story.log(step, LogLevel.INFO, "baseline measured", p95_ms=412)
    story.complete(step, {"p95_ms": 412, "requests_per_second": 1_840}, tool_result={"exit_code": 0})

    step = "identify_bottlenecks"
    story.dispatch(step, {"p95_ms": 412})
    story.ask_model(step, "anthropic", "claude-sonnet-4-5", 64.3, input_tokens=18_240, output_tokens=2_905)
    story.wait(95)
    story.log(step, LogLevel.WARNING, "the decode queue is full at peak", queue="decode", depth=512)
    story.complete(step, {"bottlenecks": ["decode queue", "connection pool"], "confidence": 0.86})
    story.tell(events.ContextUpdated, patch={"bottlenecks": ["decode queue", "connection pool"]})

    step = "tune_parameters"
    story.dispatch(step, {"candidates": ["pool_size", "decode_workers", "batch_size"]})
    story.ask_model(step, "anthropic", "claude-sonnet-4-5", 41.8, input_tokens=9_460, output_tokens=1_730)
    story.log(step, LogLevel.INFO, "trying a larger pool", pool_size=96, decode_workers=24)
    return story
