"""RFC 7396 merge patches: how ContextUpdated changes the accumulated context."""

from typing import Any, cast


def merge_patch(target: Any, patch: Any) -> Any:
    """The target as the patch leaves it; neither argument is changed, unchanged parts are shared."""
    if not isinstance(patch, dict):
        return patch
    merged: dict[str, Any] = dict(cast("dict[str, Any]", target)) if isinstance(target, dict) else {}
    merge_into(merged, cast("dict[str, Any]", patch))
    return merged


def merge_into(target: dict[str, Any], patch: dict[str, Any]) -> None:
    """Applies the patch to `target` itself; only its top level is changed in place, deeper objects are copied."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge_patch(target.get(name), value)
