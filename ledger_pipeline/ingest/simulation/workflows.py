"""The workflows that simulated customers run. Long because it is data: one entry after the other, no logic."""

from ledger_pipeline.events.enums import ArtifactType, StepType, WorkflowType
from ledger_pipeline.ingest.simulation.definitions import (
    AGENTIC,
    DEEP,
    LIGHT,
    TINY,
    Between,
    Product,
    Step,
    Workflow,
)

_ENVIRONMENTS = ("production", "production", "staging")
_SERVERS = ("web-01", "web-02", "api-01", "api-02", "db-01")

COST_ANALYSIS = Workflow(
    name="cost_analysis",
    type=WorkflowType.COST_ANALYSIS,
    mode="analysis",
    agent="cost-analyst",
    share=16,
    parameters={"period": ("last_month", "last_week", "quarter"), "environment": _ENVIRONMENTS},
    steps=(
        Step(
            "collect_metrics",
            tool="collect_cloud_metrics",
            parameters={"granularity": ("hour", "day"), "accounts": Between(2, 9)},
            seconds=45,
            max_attempts=3,
            output={"series": Between(40, 900), "gaps": Between(0, 3)},
        ),
        Step("analyze_gpu", agent="cost-analyst", effort=DEEP, output={"idle_gpu_hours": Between(20, 1900)}),
        Step("analyze_storage", agent="cost-analyst", output={"unattached_gb": Between(50, 8000)}),
        Step(
            "generate_recommendations",
            agent="cost-analyst",
            effort=DEEP,
            output={"recommendations": Between(2, 11), "savings_usd": Between(300, 24_000)},
            products=(Product(ArtifactType.RECOMMENDATION, "recommendations.json", "application/json", 9_000),),
        ),
        Step(
            "generate_report",
            agent="documentation-writer",
            output={"pages": Between(4, 18)},
            products=(
                Product(ArtifactType.REPORT, "cost-report.pdf", "application/pdf", 420_000),
                Product(ArtifactType.CHART, "spend-by-service.png", "image/png", 95_000),
            ),
        ),
    ),
    output={"savings_usd": Between(300, 24_000), "status": ("success",)},
)

PERFORMANCE_TUNING = Workflow(
    name="performance_tuning",
    type=WorkflowType.PERFORMANCE_TUNING,
    mode="operations",
    agent="performance-engineer",
    share=8,
    parameters={"service": ("checkout", "search", "ledger-api", "routing"), "target_p95_ms": Between(80, 400)},
    steps=(
        Step(
            "collect_baseline",
            tool="run_load_test",
            parameters={"minutes": Between(2, 10)},
            seconds=240,
            output={"p95_ms": Between(180, 900)},
            products=(Product(ArtifactType.METRICS, "baseline.parquet", "application/vnd.apache.parquet", 180_000),),
        ),
        Step("profile_workload", agent="performance-engineer", effort=DEEP, output={"hot_paths": Between(2, 9)}),
        Step(
            "try_settings",
            type=StepType.LOOP,
            collection=("pool_size", "batch_size", "cache_ttl", "worker_count"),
            steps=(
                Step("propose_setting", agent="performance-engineer", effort=LIGHT, output={"value": Between(2, 512)}),
                Step("measure_setting", tool="run_load_test", seconds=90, output={"p95_ms": Between(90, 800)}),
            ),
        ),
        Step(
            "apply_settings",
            tool="apply_configuration",
            approval="Apply the tuned settings to production",
            max_attempts=3,
            output={"applied": (True,)},
            products=(Product(ArtifactType.CONFIG, "tuned-settings.yaml", "application/yaml", 2_400),),
        ),
    ),
    output={"p95_ms": Between(70, 400)},
)

QUALITY_CHECK = Workflow(
    name="quality_check",
    type=WorkflowType.QUALITY_CHECK,
    mode="analysis",
    agent="quality-inspector",
    share=12,
    parameters={"dataset": ("orders", "claims", "shipments", "telemetry"), "threshold": Between(90, 99)},
    steps=(
        Step("sample_outputs", tool="sample_records", seconds=20, output={"rows": Between(500, 20_000)}),
        Step(
            "run_diagnostics",
            agent="quality-inspector",
            effort=DEEP,
            max_attempts=3,
            output={"findings": Between(0, 40)},
            products=(Product(ArtifactType.DIAGNOSTIC, "diagnostics.json", "application/json", 60_000),),
        ),
        Step("label_samples", agent="support-triager", effort=LIGHT, output={"labels": Between(100, 2000)}),
        Step(
            "evaluate_quality",
            agent="quality-inspector",
            output={"score": Between(82, 100)},
            products=(Product(ArtifactType.ALERT, "quality-alert.json", "application/json", 1_800),),
        ),
    ),
    output={"score": Between(90, 100), "passed": (True,)},
)

CODE_REVIEW = Workflow(
    name="Code Review Workflow",
    type=None,
    mode="coding",
    agent="code-reviewer",
    share=22,
    parameters={"repository": ("billing", "gateway", "mobile-app", "etl"), "pull_request": Between(100, 4800)},
    steps=(
        Step(
            "review_code",
            agent="code-reviewer",
            effort=AGENTIC,
            output={
                "review": ("looks good", "needs error handling", "split the change"),
                "suggestions": Between(0, 14),
            },
        ),
        Step("analyze_security", agent="security-analyst", effort=DEEP, output={"vulnerabilities": Between(0, 3)}),
        Step(
            "write_documentation",
            agent="documentation-writer",
            question="Which level of detail should the documentation have?",
            input_schema={
                "type": "object",
                "properties": {
                    "includeExamples": {"type": "boolean"},
                    "detailLevel": {"type": "string", "enum": ["basic", "detailed", "comprehensive"]},
                },
            },
            answer={"includeExamples": (True, False), "detailLevel": ("basic", "detailed", "comprehensive")},
            output={"sections": Between(2, 9)},
            products=(Product(ArtifactType.REPORT, "review.md", "text/markdown", 14_000),),
        ),
    ),
    output={"verdict": ("approve", "request_changes")},
    limit_minutes=1440,
)

SETUP_VM_BACKUP = Workflow(
    name="setup_vm_backup",
    type=WorkflowType.CONFIGURATION_UPDATE,
    mode="operations",
    agent="infrastructure-operator",
    share=1,
    parameters={"vm_id": Between(10_000, 99_999), "retention_days": (7, 30, 90)},
    steps=(
        Step("create_schedule", tool="create_backup_schedule", seconds=4, output={"schedule": ("daily", "hourly")}),
        Step("verify_backup", agent="infrastructure-operator", effort=LIGHT, output={"restorable": (True,)}),
    ),
    output={"protected": (True,)},
)

VM_DEPLOYMENT = Workflow(
    name="vm_deployment",
    type=WorkflowType.CONFIGURATION_UPDATE,
    mode="operations",
    agent="infrastructure-operator",
    share=8,
    parameters={"vm_template": ("ubuntu-22.04", "ubuntu-24.04", "debian-12"), "backup_enabled": (True, True, False)},
    steps=(
        Step("check_resources", tool="check_infrastructure_capacity", output={"available": (True,)}),
        Step("size_machine", agent="capacity-planner", effort=LIGHT, output={"cores": (2, 4, 8, 16)}),
        Step(
            "create_vm",
            tool="create_virtual_machine",
            parameters={"zone": ("eu-west-1a", "eu-west-1b"), "disk_gb": (50, 100, 500)},
            seconds=70,
            max_attempts=3,
            output={"vm_id": Between(10_000, 99_999)},
            products=(Product(ArtifactType.LOG, "provisioning.log", "text/plain", 30_000),),
        ),
        Step(
            "setup_backup",
            type=StepType.CONDITION,
            condition="{{workflow.parameters.backup_enabled}} == true",
            decided_by="backup_enabled",
            steps=(Step("backup_workflow", type=StepType.WORKFLOW_LINK, link="setup_vm_backup"),),
        ),
        Step("update_cmdb", tool="update_configuration_database", seconds=2, output={"status": ("deployed",)}),
    ),
    output={"status": ("deployed",)},
)

SCALING_DECISION = Workflow(
    name="scaling_decision",
    type=WorkflowType.SCALING_DECISION,
    mode="operations",
    agent="capacity-planner",
    share=7,
    parameters={"service": ("checkout", "search", "routing"), "horizon_hours": (6, 24, 72)},
    steps=(
        Step("forecast_demand", agent="capacity-planner", effort=DEEP, output={"peak_rps": Between(400, 9000)}),
        Step(
            "compare_plans",
            type=StepType.PARALLEL,
            steps=(
                Step("evaluate_scale_up", agent="capacity-planner", output={"usd_per_day": Between(40, 900)}),
                Step("evaluate_scale_out", agent="performance-engineer", output={"usd_per_day": Between(40, 900)}),
                Step("evaluate_reserved", agent="cost-analyst", output={"usd_per_day": Between(40, 900)}),
            ),
        ),
        Step(
            "needs_change",
            type=StepType.CONDITION,
            condition="{{steps.forecast_demand.output.peak_rps}} > {{context.capacity_rps}}",
            unless_true=("scale_service",),
        ),
        Step(
            "scale_service",
            tool="set_replica_count",
            parameters={"replicas": Between(3, 40)},
            approval="Change the replica count",
            seconds=30,
            max_attempts=3,
            output={"replicas": Between(3, 40)},
        ),
    ),
    output={"decision": ("scaled", "kept")},
    limit_minutes=720,
)

FLEET_HEALTH_CHECK = Workflow(
    name="fleet_health_check",
    type=WorkflowType.HEALTH_CHECK,
    mode="monitoring",
    agent="reliability-engineer",
    share=9,
    scheduled=True,
    parameters={"environment": _ENVIRONMENTS},
    steps=(
        Step(
            "check_servers",
            type=StepType.LOOP,
            collection=_SERVERS,
            steps=(Step("check_server", tool="probe_server", seconds=3, output={"healthy": (True, True, False)}),),
        ),
        Step(
            "summarize_health",
            agent="anomaly-detective",
            effort=LIGHT,
            output={"unhealthy": Between(0, 2)},
            products=(Product(ArtifactType.METRICS, "health.json", "application/json", 5_000),),
        ),
    ),
    output={"status": ("healthy", "degraded")},
    limit_minutes=15,
)

ANOMALY_DETECTION = Workflow(
    name="anomaly_detection",
    type=WorkflowType.ANOMALY_DETECTION,
    mode="monitoring",
    agent="anomaly-detective",
    share=8,
    scheduled=True,
    parameters={"metric": ("spend", "latency", "error_rate"), "window_minutes": (15, 60)},
    steps=(
        Step("scan_metrics", agent="anomaly-detective", effort=LIGHT, output={"suspects": Between(0, 6)}),
        Step("classify_suspects", agent="anomaly-detective", effort=LIGHT, output={"score": Between(1, 100)}),
        Step(
            "is_anomalous",
            type=StepType.CONDITION,
            condition="{{previous_step.output.score}} > 80",
            unless_true=("explain_anomaly",),
        ),
        Step(
            "explain_anomaly",
            agent="reliability-engineer",
            effort=DEEP,
            output={"cause": ("deploy", "traffic", "dependency", "unknown")},
            products=(Product(ArtifactType.ALERT, "anomaly.json", "application/json", 2_200),),
        ),
    ),
    output={"status": ("quiet", "alerted")},
    limit_minutes=20,
)

RESOURCE_OPTIMIZATION = Workflow(
    name="resource_optimization",
    type=WorkflowType.RESOURCE_OPTIMIZATION,
    mode="analysis",
    agent="cost-analyst",
    share=6,
    parameters={"scope": ("cluster", "database", "storage"), "max_risk": ("low", "medium")},
    steps=(
        Step("list_resources", tool="list_cloud_resources", seconds=15, output={"resources": Between(60, 4000)}),
        Step(
            "rightsize",
            type=StepType.PARALLEL,
            steps=(
                Step("rightsize_compute", agent="cost-analyst", effort=DEEP, output={"changes": Between(0, 30)}),
                Step("rightsize_storage", agent="cost-analyst", output={"changes": Between(0, 30)}),
            ),
        ),
        Step(
            "choose_window",
            agent="infrastructure-operator",
            effort=LIGHT,
            question="When may the changes be applied?",
            input_schema={"type": "object", "properties": {"window": {"type": "string"}}, "required": ["window"]},
            answer={"window": ("tonight 22:00", "saturday 03:00", "now")},
            output={"accepted": (True,)},
        ),
        Step(
            "apply_changes",
            tool="apply_configuration",
            approval="Resize the listed resources",
            seconds=60,
            max_attempts=3,
            output={"applied": Between(1, 40)},
            products=(Product(ArtifactType.CONFIG, "resize-plan.yaml", "application/yaml", 6_000),),
        ),
    ),
    output={"savings_usd": Between(100, 9_000)},
    limit_minutes=1440,
)

SUPPORT_TRIAGE = Workflow(
    name="support_triage",
    type=None,
    mode="support",
    agent="support-triager",
    share=18,
    parameters={"ticket": Between(10_000, 99_999), "language": ("en", "de", "fr", "ja"), "priority": Between(1, 4)},
    steps=(
        Step("classify_ticket", agent="support-triager", effort=LIGHT, output={"topic": ("billing", "bug", "how-to")}),
        Step("find_similar", tool="search_tickets", seconds=1.5, output={"matches": Between(0, 12)}),
        Step("draft_answer", agent="support-writer", effort=DEEP, output={"words": Between(80, 600)}),
        Step("check_tone", agent="quality-inspector", effort=LIGHT, output={"polite": (True,)}),
    ),
    output={"resolution": ("answered", "escalated")},
)

RESEARCH_BRIEF = Workflow(
    name="research_brief",
    type=None,
    mode="research",
    agent="researcher",
    share=6,
    parameters={"topic": ("supplier risk", "model evaluation", "regulation"), "depth": ("brief", "full")},
    steps=(
        Step("plan_questions", agent="researcher", effort=LIGHT, output={"questions": Between(3, 8)}),
        Step(
            "gather_sources",
            type=StepType.LOOP,
            collection=("filings", "papers", "news"),
            steps=(Step("read_source", agent="researcher", effort=DEEP, output={"quotes": Between(1, 20)}),),
        ),
        Step(
            "write_brief",
            agent="researcher",
            effort=AGENTIC,
            output={"words": Between(600, 4000)},
            products=(Product(ArtifactType.REPORT, "brief.md", "text/markdown", 22_000),),
        ),
    ),
    output={"confidence": ("low", "medium", "high")},
    limit_minutes=180,
)

SERVER_ROLLOUT = Workflow(
    name="server_rollout",
    type=WorkflowType.CONFIGURATION_UPDATE,
    mode="coding",
    agent="release-manager",
    share=6,
    parameters={"release": ("2.4.0", "2.4.1", "2.5.0", "3.0.0"), "environment": _ENVIRONMENTS},
    steps=(
        Step(
            "prepare",
            type=StepType.PARALLEL,
            steps=(
                Step("backup_data", tool="backup_data", seconds=40, output={"gb": Between(4, 300)}),
                Step("notify_users", tool="notify_users", seconds=2, output={"notified": Between(5, 900)}),
                Step("write_release_notes", agent="release-manager", output={"entries": Between(3, 40)}),
            ),
        ),
        Step(
            "deploy",
            type=StepType.LOOP,
            approval="Roll the release out to all servers",
            collection=_SERVERS[:3],
            steps=(Step("deploy_to_server", tool="deploy_to_server", seconds=35, max_attempts=3),),
        ),
        Step("verify_release", agent="reliability-engineer", output={"error_rate_permille": Between(0, 9)}),
    ),
    output={"status": ("released",)},
    limit_minutes=720,
)

EDGE_LABELLING = Workflow(
    name="edge_labelling",
    type=WorkflowType.QUALITY_CHECK,
    mode="analysis",
    agent="edge-classifier",
    share=1.2,
    parameters={"site": ("harbour", "depot", "store-12"), "images": Between(20, 400)},
    steps=(
        Step("fetch_images", tool="fetch_images", seconds=6, output={"images": Between(20, 400)}),
        Step("label_images", agent="edge-classifier", effort=TINY, output={"labels": Between(20, 400)}),
        Step("spot_check", agent="quality-inspector", effort=LIGHT, output={"agreement": Between(80, 100)}),
    ),
    output={"accepted": (True, False)},
)

WORKFLOWS: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        COST_ANALYSIS,
        PERFORMANCE_TUNING,
        QUALITY_CHECK,
        CODE_REVIEW,
        SETUP_VM_BACKUP,
        VM_DEPLOYMENT,
        SCALING_DECISION,
        FLEET_HEALTH_CHECK,
        ANOMALY_DETECTION,
        RESOURCE_OPTIMIZATION,
        SUPPORT_TRIAGE,
        RESEARCH_BRIEF,
        SERVER_ROLLOUT,
        EDGE_LABELLING,
    )
}
"""Every workflow by name."""
