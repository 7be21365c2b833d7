"""What the test server offers: the reference backends, and an API tool."""

from __future__ import annotations

from agentflow_core import BackendSpec, hookimpl, register_api_tool

_AT = "agentflow_core.testing.backends"


@hookimpl
def agentflow_backends():
    yield BackendSpec("counter", target=f"{_AT}:CounterBackend", summary="count")
    yield BackendSpec("glossary", target=f"{_AT}:GlossaryBackend", summary="look up")
    yield BackendSpec("pages", target=f"{_AT}:PagesBackend", summary="write")


@register_api_tool(name="math:double")
async def double(value: int) -> int:
    """Double a number.

    Args:
        value: the number.
    """
    return value * 2
