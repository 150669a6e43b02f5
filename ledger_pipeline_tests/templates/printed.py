"""Every definition that the united systems' documents print: whole ones as they stand, single steps in a frame."""

from typing import Any

CODE_REVIEW: dict[str, Any] = {
    "name": "Code Review Workflow",
    "description": "Automated code review with security analysis",
    "driveId": "drive_xyz",
    "createdBy": "user_abc",
    "category": "code-review",
    "tags": ["security", "quality", "automated"],
    "isPublic": True,
    "steps": [
        {
            "workflowTemplateId": "template_xyz",
            "stepOrder": 0,
            "agentId": "code-reviewer",
            "promptTemplate": "Review the following code for bugs and improvements: {{code}}",
            "requiresUserInput": False,
        },
        {
            "workflowTemplateId": "template_xyz",
            "stepOrder": 1,
            "agentId": "security-analyst",
            "promptTemplate": "Analyze security vulnerabilities in: {{code}}. Previous review: {{step_0_output}}",
            "requiresUserInput": False,
        },
        {
            "workflowTemplateId": "template_xyz",
            "stepOrder": 2,
            "agentId": "documentation-writer",
            "promptTemplate": "Generate documentation based on review: {{step_0_output}} "
            "and security analysis: {{step_1_output}}",
            "requiresUserInput": True,
            "inputSchema": {
                "type": "object",
                "properties": {
                    "includeExamples": {"type": "boolean"},
                    "detailLevel": {"type": "string", "enum": ["basic", "detailed", "comprehensive"]},
                },
            },
        },
    ],
}

VM_DEPLOYMENT: dict[str, Any] = {
    "name": "vm_deployment",
    "title": "Virtual Machine Deployment",
    "description": "Complete VM deployment with backup and monitoring setup",
    "category": "infrastructure",
    "parameters": {
        "vm_name": {"type": "string", "required": True},
        "vm_template": {"type": "string", "default": "ubuntu-22.04"},
        "backup_enabled": {"type": "boolean", "default": True},
    },
    "steps": [
        {
            "name": "check_resources",
            "type": "action",
            "tool_name": "check_infrastructure_capacity",
            "parameters": {"template": "{{workflow.parameters.vm_template}}"},
        },
        {
            "name": "create_vm",
            "type": "action",
            "tool_name": "create_virtual_machine",
            "parameters": {
                "name": "{{workflow.parameters.vm_name}}",
                "template": "{{workflow.parameters.vm_template}}",
            },
        },
        {
            "name": "setup_backup",
            "type": "condition",
            "condition": "{{workflow.parameters.backup_enabled}} == true",
            "on_true": {
                "type": "workflow_link",
                "workflow_name": "setup_vm_backup",
                "parameters": {"vm_id": "{{steps.create_vm.output.vm_id}}"},
            },
        },
        {
            "name": "update_cmdb",
            "type": "action",
            "tool_name": "update_configuration_database",
            "parameters": {"vm_id": "{{steps.create_vm.output.vm_id}}", "status": "deployed"},
        },
    ],
}

CREATE_VM: dict[str, Any] = {
    "name": "create_vm",
    "title": "Create Virtual Machine",
    "type": "action",
    "tool_name": "manage_infrastructure",
    "parameters": {
        "action": "create_vm",
        "template": "{{workflow.parameters.vm_template}}",
        "name": "{{workflow.parameters.vm_name}}",
    },
    "on_success": "next",
    "on_failure": "retry",
    "retry_count": 3,
    "timeout_seconds": 300,
}
CREATE_TASK: dict[str, Any] = {
    "type": "action",
    "tool_name": "manage_task_archon",
    "parameters": {"action": "create", "project_id": "{{context.project_id}}", "title": "Deploy application"},
}
JUDGE_STATUS: dict[str, Any] = {
    "type": "condition",
    "condition": "{{previous_step.output.status}} == 'success'",
    "on_true": "deploy_step",
    "on_false": "rollback_step",
}
BACK_UP: dict[str, Any] = {
    "type": "workflow_link",
    "workflow_name": "backup_database",
    "parameters": {"database_id": "{{context.database_id}}"},
}
PREPARE: dict[str, Any] = {
    "type": "parallel",
    "steps": [{"type": "action", "tool_name": "backup_data"}, {"type": "action", "tool_name": "notify_users"}],
}
ROLL_OUT: dict[str, Any] = {
    "type": "loop",
    "collection": "{{workflow.parameters.servers}}",
    "item_variable": "server",
    "steps": [{"type": "action", "tool_name": "deploy_to_server", "parameters": {"server": "{{server}}"}}],
}


def framed(name: str, *steps: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    """The least definition around steps that stand alone in their document."""
    return {"name": name, "parameters": parameters, "steps": list(steps)}


PRINTED: dict[str, dict[str, Any]] = {
    "code review": CODE_REVIEW,
    "vm deployment": VM_DEPLOYMENT,
    "action with targets": framed("one_vm", CREATE_VM, vm_template={"type": "string"}, vm_name={"type": "string"}),
    "action": framed("one_task", CREATE_TASK),
    "condition": framed(
        "judged",
        {"tool_name": "run_tests"},
        JUDGE_STATUS,
        {"name": "deploy_step", "tool_name": "deploy", "on_success": "end"},
        {"name": "rollback_step", "tool_name": "roll_back"},
    ),
    "workflow link": framed("backed_up", BACK_UP),
    "parallel": framed("prepared", PREPARE),
    "loop": framed("rolled_out", ROLL_OUT, servers={"type": "array"}),
}
