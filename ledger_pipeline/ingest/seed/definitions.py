"""The workflows that the seeded executions follow, as they are saved as templates."""

from collections.abc import Mapping
from typing import Any

Definition = Mapping[str, Any]
"""A workflow definition, as `templates save` reads it."""

COST_ANALYSIS: Definition = {
    "name": "monthly_cost_analysis",
    "title": "Monthly cost analysis",
    "description": "What the clouds cost, what of it could be saved, and a report for finance.",
    "category": "finance",
    "tags": ["cost", "monthly"],
    "is_public": True,
    "parameters": {
        "providers": {"type": "array", "items": {"type": "string"}, "required": True},
        "period_days": {"type": "integer", "minimum": 1, "default": 30},
        "currency": {"type": "string", "default": "USD"},
    },
    "outputs": {
        "monthly_savings_usd": {"type": "number"},
        "recommendations": {"type": "integer"},
        "pages": {"type": "integer"},
    },
    "steps": [
        {
            "name": "collect_metrics",
            "type": "action",
            "tool_name": "query_cloud_billing",
            "parameters": {"providers": "{{workflow.parameters.providers}}", "granularity": "hour"},
            "retry_count": 2,
            "on_failure": "retry",
        },
        {
            "name": "analyze_gpu",
            "type": "action",
            "agent_id": "cost-agent",
            "prompt_template": "Find GPUs that cost more than they do: {{steps.collect_metrics.output.spend_usd}}",
        },
        {
            "name": "analyze_storage",
            "type": "action",
            "agent_id": "cost-agent",
            "prompt_template": "Find storage that nobody reads: {{steps.collect_metrics.output.spend_usd}}",
        },
        {
            "name": "generate_recommendations",
            "type": "action",
            "agent_id": "cost-agent",
            "prompt_template": "Recommend savings. GPUs: {{step_1_output}}. Storage: {{step_2_output}}.",
        },
        {
            "name": "generate_report",
            "type": "action",
            "agent_id": "report-agent",
            "prompt_template": "Write a page for finance, in {{workflow.parameters.currency}}: {{step_3_output}}",
        },
    ],
}

PERFORMANCE_TUNING: Definition = {
    "name": "transcoder_tuning",
    "title": "Transcoder tuning",
    "description": "Brings a service's latency below its target without making it much dearer.",
    "category": "operations",
    "tags": ["performance", "latency"],
    "is_public": True,
    "parameters": {
        "service": {"type": "string", "required": True},
        "target_p95_ms": {"type": "integer", "minimum": 1, "required": True},
        "max_cost_increase_percent": {"type": "number", "default": 5},
    },
    "steps": [
        {
            "name": "collect_baseline",
            "type": "action",
            "tool_name": "run_load_test",
            "parameters": {"service": "{{workflow.parameters.service}}", "minutes": 5, "concurrency": 64},
        },
        {
            "name": "identify_bottlenecks",
            "type": "action",
            "agent_id": "performance-agent",
            "prompt_template": "What holds {{workflow.parameters.service}} up? {{steps.collect_baseline.output}}",
        },
        {
            "name": "tune_parameters",
            "type": "action",
            "agent_id": "performance-agent",
            "prompt_template": "Bring p95 to {{workflow.parameters.target_p95_ms}} ms: {{step_1_output}}",
            "retry_count": 2,
            "on_failure": "retry",
        },
        {
            "name": "validate_improvement",
            "type": "action",
            "tool_name": "run_load_test",
            "parameters": {"service": "{{workflow.parameters.service}}", "minutes": 5, "concurrency": 64},
        },
    ],
}

QUALITY_CHECK: Definition = {
    "name": "claims_assistant_quality",
    "title": "Quality of the claims assistant",
    "description": "Judges a sample of what the assistant answered, and raises an alert below a threshold.",
    "category": "quality",
    "tags": ["quality", "daily"],
    "is_public": True,
    "parameters": {
        "model": {"type": "string", "required": True},
        "cases": {"type": "integer", "minimum": 1, "default": 240},
        "thresholds": {"type": "object", "required": True},
    },
    "steps": [
        {
            "name": "sample_responses",
            "type": "action",
            "tool_name": "sample_production_traffic",
            "parameters": {"model": "{{workflow.parameters.model}}", "cases": "{{workflow.parameters.cases}}"},
        },
        {
            "name": "evaluate_quality",
            "type": "action",
            "agent_id": "quality-agent",
            "prompt_template": "Judge each answer: grounded, complete, in tone? {{steps.sample_responses.output}}",
        },
        {
            "name": "compare_with_threshold",
            "type": "action",
            "agent_id": "quality-agent",
            "prompt_template": "Compare {{step_1_output}} with {{workflow.parameters.thresholds}}.",
            "retry_count": 1,
            "on_failure": "retry",
        },
    ],
}
