"""Tell what the user's variables are, one or all."""

from __future__ import annotations

import difflib
import inspect
from typing import Any, Final

from agentflow_code.inside import bundles, variables
from agentflow_code.inside.calls import Refused
from agentflow_code.inside.shell import current

__all__ = ["look"]

MEMBERS: Final = 100
CHARS: Final = 8000


def look(payload: Any) -> dict[str, Any]:
    """All variables, or one by its name, which may have dots: type, value, and what it is made of."""
    name = payload.get("name")
    shell = current()
    if name is None:
        visible = shell.visible()
        told = {each: variables.described(value) for each, value in sorted(visible.items())[: variables.COUNT]}
        return {"variables": told, "count": len(visible)}
    first, *rest = name.split(".")
    if first not in shell.user_ns:
        close = difflib.get_close_matches(first, list(shell.visible()), n=1)
        raise Refused("not_found", f"no variable {first!r}", hint=f"did you mean {close[0]!r}?" if close else "")
    value = shell.user_ns[first]
    for step in rest:
        try:
            value = getattr(value, step)
        except AttributeError as error:
            raise Refused("not_found", f"{name!r}: {error}") from None
    return {"name": name, **_described(value)}


def _described(value: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"type": type(value).__name__, "module": type(value).__module__}
    told["summary"] = variables.described(value)
    formatter = current().display_formatter
    assert formatter is not None
    formatted, _ = formatter.format(value, include={"text/plain"})  # type: ignore[no-untyped-call]
    told["value"] = str(formatted.get("text/plain", ""))[:CHARS]
    if (table := bundles.table_of(value)) is not None:
        told["table"] = table
    if callable(value):
        try:
            told["signature"] = str(inspect.signature(value))
        except (TypeError, ValueError):
            told["signature"] = ""
    if doc := inspect.getdoc(value):
        told["doc"] = doc[:CHARS]
    told["members"] = [each for each in dir(value) if not each.startswith("_")][:MEMBERS]
    return told
