"""The failed quality check: two steps done, the third failed twice, with diagnostics and the alert that it raised."""

from datetime import datetime, timedelta

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import ArtifactType, LogLevel, WorkflowType
from ledger_pipeline.ingest.seed.definitions import QUALITY_CHECK
from ledger_pipeline.ingest.seed.documents import json_document
from ledger_pipeline.ingest.seed.people import COBALT, COBALT_QUALITY, QUALITY_AGENT, TOBIAS
from ledger_pipeline.ingest.seed.story import Follow, Keep, Position, Story

NAME = "quality_check"

_ERROR = "quality threshold breach: groundedness 0.81 is below 0.90"
_RESULTS = {
    "model": "claims-assistant-v7",
    "cases": 240,
    "scores": {"groundedness": 0.81, "completeness": 0.94, "tone": 0.97},
    "worst_cases": [
        {"case": "claims-0117", "groundedness": 0.22, "finding": "cites a clause that the policy does not have"},
        {"case": "claims-0203", "groundedness": 0.31, "finding": "states a payout date that nobody gave"},
    ],
}


def quality_check(now: datetime, keep: Keep, follow: Follow) -> Story:
    """Failed a day before `now`."""
    story = Story(
        NAME,
        now - timedelta(days=1, minutes=9),
        QUALITY_AGENT,
        (
            Position("sample_responses", QUALITY_AGENT, tool="sample_production_traffic"),
            Position("evaluate_quality", QUALITY_AGENT),
            Position("compare_with_threshold", QUALITY_AGENT),
        ),
        keep,
        follow,
    )
    story.create(
        TOBIAS,
        COBALT,
        COBALT_QUALITY,
        QUALITY_CHECK,
        workflow_type=WorkflowType.QUALITY_CHECK,
        mode="monitoring",
        parameters={"model": "claims-assistant-v7", "cases": 240, "thresholds": {"groundedness": 0.9, "tone": 0.9}},
        trigger_context={"channel": "deployment", "release": "2.14.0"},
        metadata={"environment": "production"},
    )
    step = "sample_responses"
    story.dispatch(step, {"cases": 240}, model="claims-assistant-v7", cases=240, seed=7)
    story.wait(64)
    story.complete(step, {"cases": 240, "languages": ["de", "en", "fr"]}, tool_result={"skipped": 3})

    step = "evaluate_quality"
    story.dispatch(step, {"cases": 240, "judges": 2})
    for seconds, read, written in ((72.5, 41_300, 6_120), (69.1, 40_870, 5_940)):
        story.ask_model(step, "openai", "gpt-4o", seconds, input_tokens=read, output_tokens=written)
    results = json_document(_RESULTS)
    story.keep(step, ArtifactType.DIAGNOSTIC, "diagnostic-results.json", results, cases=240)
    story.complete(step, {"scores": _RESULTS["scores"]})

    step = "compare_with_threshold"
    breach = {"metric": "groundedness", "score": 0.81, "threshold": 0.9}
    story.dispatch(step, {"thresholds": {"groundedness": 0.9, "tone": 0.9}})
    story.wait(3)
    story.log(step, LogLevel.WARNING, "groundedness is below its threshold: judging the worst cases again", **breach)
    story.fail(step, "QUALITY_THRESHOLD_BREACH", _ERROR, **breach, cases_below=46)
    story.retry(step, 20, _ERROR)
    story.dispatch(step, {"thresholds": {"groundedness": 0.9, "tone": 0.9}, "only_worst": 46})
    story.ask_model(step, "openai", "gpt-4o", 31.6, input_tokens=12_480, output_tokens=1_905)
    story.log(step, LogLevel.ERROR, _ERROR, **breach)
    alert = json_document(
        {"severity": "critical", "summary": _ERROR, **breach, "release": "2.14.0", "page": "ml-on-call"}
    )
    story.keep(step, ArtifactType.ALERT, "quality-alert.json", alert, severity="critical")
    story.fail(step, "QUALITY_THRESHOLD_BREACH", _ERROR, **breach, cases_below=44)
    story.tell(
        events.WorkflowFailed,
        error_code="QUALITY_THRESHOLD_BREACH",
        error_message=_ERROR,
        error_details={**breach, "failed_step": step},
    )
    return story
