"""Definitions of the stories: those of the seeds as they are printed, and small ones."""

from typing import Any

CODE_REVIEW: dict[str, Any] = {
    "name": "Code Review Workflow",
    "description": "Automated code review with security analysis",
    "category": "code-review",
    "tags": ["security", "quality", "automated"],
    "isPublic": True,
    "steps": [
        {
            "stepOrder": 0,
            "agentId": "code-reviewer",
            "promptTemplate": "Review the following code for bugs and improvements: {{code}}",
            "requiresUserInput": False,
        },
        {
            "stepOrder": 1,
            "agentId": "security-analyst",
            "promptTemplate": "Analyze security vulnerabilities in: {{code}}. Previous review: {{step_0_output}}",
            "requiresUserInput": False,
        },
        {
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

SETUP_VM_BACKUP: dict[str, Any] = {
    "name": "setup_vm_backup",
    "parameters": {"vm_id": {"type": "string", "required": True}},
    "outputs": {"schedule": {"type": "string", "required": True}},
    "steps": [{"name": "schedule", "type": "action", "tool_name": "schedule_backup", "parameters": {"every": "day"}}],
}

BACKUP_AND_NOTIFY: dict[str, Any] = {
    "name": "backup_and_notify",
    "steps": [
        {
            "name": "both",
            "type": "parallel",
            "steps": [{"type": "action", "tool_name": "backup_data"}, {"type": "action", "tool_name": "notify_users"}],
        },
        {"name": "report", "type": "action", "tool_name": "report"},
    ],
}

DEPLOY_EVERYWHERE: dict[str, Any] = {
    "name": "deploy_everywhere",
    "parameters": {"servers": {"type": "array", "required": True}},
    "steps": [
        {
            "name": "each_server",
            "type": "loop",
            "collection": "{{workflow.parameters.servers}}",
            "item_variable": "server",
            "steps": [
                {
                    "name": "deploy",
                    "type": "action",
                    "tool_name": "deploy_to_server",
                    "parameters": {"server": "{{server}}"},
                },
                {
                    "name": "probe",
                    "type": "action",
                    "tool_name": "probe",
                    "parameters": {"server": "{{server}}", "release": "{{steps.deploy.output.release}}"},
                },
            ],
        },
        {"name": "announce", "type": "action", "tool_name": "announce"},
    ],
}


def action(name: str, **fields: Any) -> dict[str, Any]:
    """A step that calls a tool."""
    return {"name": name, "type": "action", "tool_name": f"{name}_tool", **fields}
