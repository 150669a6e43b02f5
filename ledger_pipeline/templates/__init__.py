"""Workflow definitions: what a workflow is, checked when it is saved, kept in versions."""

from ledger_pipeline.templates.definition import Definition
from ledger_pipeline.templates.inputs import check_input, check_output, check_user_input
from ledger_pipeline.templates.plan import iteration_plan, plan
from ledger_pipeline.templates.positions import Position, position_of, positions
from ledger_pipeline.templates.reading import Document, Reading, read_definition
from ledger_pipeline.templates.steps import (
    ActionStep,
    AnyStep,
    ConditionStep,
    LoopStep,
    ParallelStep,
    WorkflowLinkStep,
)
from ledger_pipeline.templates.store import TemplatePage, Templates
from ledger_pipeline.templates.template import Saved, Template

__all__ = [
    "ActionStep",
    "AnyStep",
    "ConditionStep",
    "Definition",
    "Document",
    "LoopStep",
    "ParallelStep",
    "Position",
    "Reading",
    "Saved",
    "Template",
    "TemplatePage",
    "Templates",
    "WorkflowLinkStep",
    "check_input",
    "check_output",
    "check_user_input",
    "iteration_plan",
    "plan",
    "position_of",
    "positions",
    "read_definition",
]
