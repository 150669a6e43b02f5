"""Fixed executions that come first, so that even a small simulation holds every event type and artifact type."""

from dataclasses import dataclass, field
from typing import Any

from ledger_pipeline.ingest.simulation.fate import THOROUGH, Ending, Fate
from ledger_pipeline.ingest.simulation.journal import Budget


@dataclass(frozen=True)
class Scene:
    """A showcase: its workflow and fate, parameters that must be as they are, and how many executions it makes."""

    workflow: str
    fate: Fate
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    rerun: bool = False
    executions: int = 1


def _fate(**choices: Any) -> Fate:
    return Fate(quick=True, **choices)


SCENES: tuple[Scene, ...] = (
    Scene("vm_deployment", _fate(habits=THOROUGH), {"backup_enabled": True}, executions=2),
    Scene("resource_optimization", _fate(habits=THOROUGH, budget=Budget.CROSSED_TOKENS)),
    Scene("performance_tuning", _fate(ending=Ending.REJECTED), rerun=True, executions=2),
    Scene("quality_check", _fate(ending=Ending.FAILED, strikes_at="evaluate_quality")),
    Scene("Code Review Workflow", _fate(ending=Ending.CANCELLED, strikes_at="write_documentation")),
    Scene("fleet_health_check", _fate(ending=Ending.TIMED_OUT, strikes_at="summarize_health")),
    Scene("support_triage", _fate(ending=Ending.ABORTED, strikes_at="draft_answer", budget=Budget.CROSSED_USD)),
    Scene("scaling_decision", _fate(branch=False, budget=Budget.AMPLE)),
    Scene("cost_analysis", _fate()),
    Scene("edge_labelling", _fate()),
)
SHOWCASE_EXECUTIONS = sum(scene.executions for scene in SCENES)
"""From this many executions on, every event type occurs."""
