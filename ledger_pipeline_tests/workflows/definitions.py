"""Definitions of the stories, beside those that are printed in `templates/printed.py`."""

from typing import Any

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
