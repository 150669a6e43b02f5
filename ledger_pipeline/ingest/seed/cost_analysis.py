"""The completed cost analysis: five steps in a quarter of an hour, with a report, recommendations and a chart."""

from datetime import datetime, timedelta
from decimal import Decimal

from ledger_pipeline.events import catalogue as events
from ledger_pipeline.events.enums import ArtifactType, Decision, LogLevel, WorkflowType
from ledger_pipeline.ingest.seed.definitions import COST_ANALYSIS
from ledger_pipeline.ingest.seed.documents import json_document, pdf_document, png_bar_chart
from ledger_pipeline.ingest.seed.people import AURORA, AURORA_FINOPS, COST_AGENT, INES, RAHUL, REPORT_AGENT, seed_id
from ledger_pipeline.ingest.seed.story import Follow, Keep, Position, Story

NAME = "cost_analysis"

_SPEND = {"gpu": 48_210, "storage": 17_940, "compute": 12_305, "network": 4_615}
_RECOMMENDATIONS = [
    {"action": "stop idle GPU nodes at night", "resource": "gpu-pool-a", "monthly_savings_usd": 9_300, "risk": "low"},
    {"action": "buy a one-year reservation", "resource": "gpu-pool-b", "monthly_savings_usd": 6_150, "risk": "medium"},
    {
        "action": "move snapshots to a cold tier",
        "resource": "archive",
        "monthly_savings_usd": 2_480,
        "risk": "low",
    },
    {"action": "delete unattached volumes", "resource": "38 volumes", "monthly_savings_usd": 1_120, "risk": "low"},
]
_SAVINGS = 19_050


def cost_analysis(now: datetime, keep: Keep, follow: Follow) -> Story:
    """Ended about two hours before `now`."""
    story = Story(
        NAME,
        now - timedelta(hours=2, minutes=15),
        COST_AGENT,
        (
            Position("collect_metrics", COST_AGENT, tool="query_cloud_billing"),
            Position("analyze_gpu", COST_AGENT),
            Position("analyze_storage", COST_AGENT),
            Position("generate_recommendations", COST_AGENT),
            Position("generate_report", REPORT_AGENT),
        ),
        keep,
        follow,
    )
    story.create(
        INES,
        AURORA,
        AURORA_FINOPS,
        COST_ANALYSIS,
        workflow_type=WorkflowType.COST_ANALYSIS,
        mode="analysis",
        parameters={"providers": ["aws", "gcp"], "period_days": 30, "currency": "USD"},
        trigger_context={"channel": "schedule", "schedule": "monthly"},
        metadata={"priority": "high", "cost_center": "FIN-2041"},
        budget_usd=Decimal(25),
    )
    _collect(story)
    _analyze(story)
    _recommend(story)
    _report(story)
    story.tell(events.WorkflowCompleted, output={"monthly_savings_usd": _SAVINGS, "recommendations": 4, "pages": 1})
    return story


def _collect(story: Story) -> None:
    step = "collect_metrics"
    parameters = {"providers": ["aws", "gcp"], "granularity": "hour"}
    story.dispatch(step, {"period_days": 30}, **parameters)
    story.wait(41)
    story.log(step, LogLevel.WARNING, "the billing API throttles requests", status=429, provider="gcp")
    story.fail(step, "RATE_LIMITED", "gcp billing: 429 Too Many Requests", provider="gcp", retry_after_seconds=30)
    story.retry(step, 30, "429 Too Many Requests")
    story.dispatch(step, {"period_days": 30}, **parameters)
    story.wait(112)
    story.log(step, LogLevel.INFO, "collected hourly usage", series=412, gaps=2)
    story.complete(step, {"series": 412, "spend_usd": _SPEND}, tool_result={"requests": 96, "bytes": 18_442_310})


def _analyze(story: Story) -> None:
    story.dispatch("analyze_gpu", {"spend_usd": _SPEND["gpu"], "series": 128})
    story.ask_model(
        "analyze_gpu", "anthropic", "claude-sonnet-4-5", 38.2,
        input_tokens=14_820, cache_write_5m_tokens=9_400, output_tokens=2_310,
    )  # fmt: skip
    story.ask_model(
        "analyze_gpu", "anthropic", "claude-sonnet-4-5", 51.7,
        input_tokens=3_105, cache_read_tokens=9_400, output_tokens=3_022,
    )  # fmt: skip
    story.log("analyze_gpu", LogLevel.INFO, "GPUs idle between 22:00 and 06:00", idle_share=0.41)
    story.wait(45)
    story.complete("analyze_gpu", {"idle_gpu_hours": 1_874, "utilisation": 0.59})
    story.dispatch("analyze_storage", {"spend_usd": _SPEND["storage"], "volumes": 611})
    story.ask_model("analyze_storage", "openai", "gpt-4o", 33.4, input_tokens=11_260, output_tokens=1_844)
    story.wait(58)
    story.complete("analyze_storage", {"unattached_volumes": 38, "cold_candidates_gb": 21_400})


def _recommend(story: Story) -> None:
    step = "generate_recommendations"
    story.dispatch(step, {"findings": ["idle_gpu_hours", "unattached_volumes", "cold_candidates_gb"]})
    story.ask_model(
        step, "anthropic", "claude-opus-4-1", 74.9,
        input_tokens=8_930, cache_read_tokens=9_400, output_tokens=4_120,
    )  # fmt: skip
    content = json_document({"recommendations": _RECOMMENDATIONS, "monthly_savings_usd": _SAVINGS})
    story.keep(step, ArtifactType.RECOMMENDATION, "recommendations.json", content, recommendations=4)
    approval = {"approval_id": seed_id("approval", story.name), "step_id": story.step_id(step), "step_name": step}
    story.tell(
        events.ApprovalRequested,
        **approval,
        approval_subject="publish recommendations worth $19,050 a month",
        requested_from=str(RAHUL.id),
        details={"recommendations": 4, "highest_risk": "medium"},
    )
    story.wait(148)
    story.tell(
        events.ApprovalApplied,
        RAHUL,
        **approval,
        decision=Decision.APPROVED,
        decision_comment="Agreed; the reservation only after the quarter's end.",
    )
    story.complete(step, {"recommendations": 4, "monthly_savings_usd": _SAVINGS})
    story.tell(events.ContextUpdated, patch={"approved_savings_usd": _SAVINGS, "spend_usd": _SPEND})


def _report(story: Story) -> None:
    step = "generate_report"
    story.dispatch(step, {"format": "pdf", "audience": "finance"})
    story.ask_model(step, "openai", "gpt-5", 88.0, input_tokens=9_715, output_tokens=3_390, reasoning_tokens=1_280)
    story.wait(126)
    chart = png_bar_chart("Spend by service, USD a month", list(_SPEND.values()))
    story.keep(step, ArtifactType.CHART, "spend-by-service.png", chart, width=640, height=360)
    lines = [
        "Spend of the last 30 days, USD",
        *(f"    {name:<10} {usd:>8,}" for name, usd in _SPEND.items()),
        "",
        f"Recommendations: {_SAVINGS:,} USD a month",
        *(f"    {r['action']} ({r['resource']}): {r['monthly_savings_usd']:,}" for r in _RECOMMENDATIONS),
    ]
    report = pdf_document("Cost analysis: Aurora Robotics", lines)
    story.keep(step, ArtifactType.REPORT, "cost-analysis.pdf", report, pages=1)
    story.complete(step, {"pages": 1, "charts": 1})
