"""A decorated function is a tool whose schema is made from what it says; what it does not say is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest

from agentflow_core import register_api_tool
from agentflow_core.errors import PluginError
from agentflow_core.records import ToolResult
from agentflow_core.sandbox import Backend, Range, tool
from agentflow_core.sandbox.docstrings import parse_docstring
from agentflow_core.sandbox.tools import tool_function

if TYPE_CHECKING:
    from decimal import Decimal


@register_api_tool(name="math:scale", read_only=True, timeout_s=5)
def scale(
    value: Annotated[float, "what is scaled"], by: Annotated[int, Range(1, 10)] = 2, mode: Literal["up", "down"] = "up"
) -> float:
    """Scale a value.

    It is a plain function.

    Args:
        by: the factor,
            a small one.
        mode (str): the direction.

    Returns:
        The scaled value.
    """
    return value * by if mode == "up" else value / by


def test_the_schema_comes_from_signature_annotations_and_docstring():
    made = tool_function(scale)
    assert made is not None
    assert made.name == "math:scale"
    assert made.description == "Scale a value.\n\nIt is a plain function."
    assert made.schema == {
        "type": "object",
        "properties": {
            "value": {"type": "number", "description": "what is scaled"},
            "by": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10,
                "description": "the factor, a small one.",
                "default": 2,
            },
            "mode": {"type": "string", "enum": ["up", "down"], "description": "the direction.", "default": "up"},
        },
        "required": ["value"],
        "additionalProperties": False,
    }
    assert (made.is_async, made.read_only, made.timeout_s) == (False, True, 5)


def test_a_registered_function_is_returned_unchanged():
    assert scale(3.0, by=3) == 9.0

    @register_api_tool
    async def greet(who: str) -> str:
        """Greet somebody."""
        return f"hello {who}"

    made = tool_function(greet)
    assert made is not None
    assert made.name == "local:greet"
    assert made.is_async


def test_defaults_are_filled_in_and_every_problem_is_told_at_once():
    made = tool_function(scale)
    assert made is not None
    assert made.validate({"value": 1}) == {"value": 1.0, "by": 2, "mode": "up"}
    refused = made.validate({"by": 11, "mod": "down"})
    assert isinstance(refused, ToolResult)
    assert refused.code == "invalid_argument"
    assert refused.message == (
        "argument 'value' is missing; argument 'by': expected at most 10, got 11; argument 'mod' is not an argument"
    )
    assert "did you mean 'mode'?" in refused.hint
    assert refused.data == {"fields": ["value", "by", "mod"]}


def test_thousands_of_made_up_arguments_get_a_short_answer():
    made = tool_function(scale)
    assert made is not None
    refused = made.validate({"value": 1, **{f"x{number}": number for number in range(100_000)}})
    assert isinstance(refused, ToolResult)
    assert len(refused.text) < 2_000


async def no_docstring(self: Any, state: Any) -> None: ...


async def no_state(self: Any, amount: int) -> None:
    """Add."""


async def no_annotation(self: Any, state: Any, amount=1) -> None:
    """Add."""


async def many(self: Any, state: Any, *amounts: int) -> None:
    """Add."""


async def options(self: Any, state: Any, **amounts: int) -> None:
    """Add."""


async def stranger(self: Any, state: Any, amount: int) -> None:
    """Add.

    Args:
        amuont: how much.
    """


async def twice_described(self: Any, state: Any, amount: Annotated[int, "how much"]) -> None:
    """Add.

    Args:
        amount: how much.
    """


async def wrong_default(self: Any, state: Any, amount: Annotated[int, Range(1)] = 0) -> None:
    """Add."""


async def only_for_checkers(self: Any, state: Any, amount: Decimal) -> None:
    """Add."""


async def no_json(self: Any, state: Any, amount: bytes) -> None:
    """Add."""


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (no_docstring, "no_docstring .*has no docstring"),
        (no_state, "first parameter after self must be 'state'"),
        (no_annotation, "parameter 'amount' has no annotation"),
        (many, r"\*amounts.* has no schema"),
        (options, r"\*\*amounts.* has no schema"),
        (stranger, "describes 'amuont', which is no parameter, did you mean 'amount'"),
        (twice_described, "'amount' is described twice"),
        (wrong_default, "the default of 'amount' does not fit"),
        (only_for_checkers, "'amount' cannot be resolved"),
        (no_json, "parameter 'amount': .*bytes.* has no form in JSON"),
    ],
)
def test_a_tool_that_cannot_be_described_is_refused_with_its_place(function: Any, says: str) -> None:
    with pytest.raises(PluginError, match=says) as caught:
        tool(function)
    assert "test_tools.py:" in caught.value.message


def test_a_wrong_name_is_refused():
    with pytest.raises(PluginError, match=r"'Math:Add' is not a name|'Math' is not a name"):
        register_api_tool(name="Math:Add")(scale)


def test_two_tools_of_one_name_are_refused_when_the_class_is_made():
    with pytest.raises(PluginError, match="two tools are named 'add'"):

        class Twice(Backend):
            @tool(name="add")
            async def one(self, state: None) -> None:
                """Add."""

            @tool(name="add")
            async def two(self, state: None) -> None:
                """Add."""


def test_a_life_cycle_that_is_not_async_is_refused_when_the_class_is_made():
    with pytest.raises(PluginError, match=r"backend .*Blocking: cleanup must be async"):

        class Blocking(Backend):
            def cleanup(self, state: None) -> None: ...  # type: ignore[override]


def test_an_unknown_sharing_is_refused_when_the_class_is_made():
    with pytest.raises(PluginError, match="sharing is 'common'"):

        class Common(Backend):
            sharing = "common"  # type: ignore[assignment]


def test_a_subclass_may_replace_a_tool():
    class First(Backend):
        @tool
        async def add(self, state: None, amount: int = 1) -> int:
            """Add."""
            return amount

    class Second(First):
        @tool
        async def add(self, state: None, amount: int = 2) -> int:
            """Add twice."""
            return amount

    assert Second.tools()["add"].description == "Add twice."


def test_a_default_that_a_tool_changes_is_the_same_for_the_next_call():
    @register_api_tool
    def collect(items: list[str] = ["first"]) -> list[str]:  # noqa: B006 - what is tested
        """Collect."""
        return items

    made = tool_function(collect)
    assert made is not None
    made.validate({})["items"].append("second")
    assert made.validate({}) == {"items": ["first"]}


def test_a_tool_may_call_what_it_replaces():
    class First(Backend):
        @tool
        async def add(self, state: None, amount: int = 1) -> int:
            """Add."""
            return amount

    class Second(First):
        @tool
        async def add(self, state: None, amount: int = 2) -> int:
            """Add twice."""
            return 2 * await super().add(state, amount)

    assert Second.tools()["add"].validate(None) == {"amount": 2}


def test_what_is_no_function_is_refused():
    with pytest.raises(PluginError, match="not a function"):
        tool(staticmethod(no_docstring))  # type: ignore[type-var]


def test_a_docstring_keeps_its_other_sections():
    parsed = parse_docstring(
        "Do it.\n\nArgs:\n    x: one\n    y: two\n\nNote:\n    Mind the gap.\n\nReturns:\n    Much.\n"
    )
    assert parsed.description == "Do it.\n\nNote:\n    Mind the gap."
    assert parsed.arguments == {"x": "one", "y": "two"}
