"""``@tool`` and ``@register_api_tool``: a function becomes a tool, its schema made from what it says already."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Mapping
from copy import deepcopy
from itertools import islice
from typing import Any, TypeVar, overload

from attrs import field, frozen

from agentflow_core.errors import PluginError, UsageError
from agentflow_core.names import check_name, check_tool_name, did_you_mean, suggest
from agentflow_core.records import Observation, ToolResult
from agentflow_core.sandbox.docstrings import parse_docstring
from agentflow_core.sandbox.schema import Invalid, UnsupportedAnnotation, compile_annotation

__all__ = ["ToolFunction", "register_api_tool", "tool"]

F = TypeVar("F", bound=Callable[..., Any])
Canonicalize = Callable[[Mapping[str, Any]], Any]
Compare = Callable[[Observation, Observation], bool]
_MARK = "__agentflow_tool__"
_MOST_NAMED = 10  # of the arguments that a call makes up


@frozen(kw_only=True)
class Parameter:
    """One parameter: its check, and its default where it has one."""

    name: str
    check: Callable[[Any], Any] = field(repr=False)
    required: bool
    default: Any = None


@frozen(kw_only=True)
class ToolFunction:
    """What a decorated function is as a tool. ``name`` is full for an API tool, without the group for a backend's."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    is_async: bool
    takes_state: bool
    description: str
    schema: Mapping[str, Any] = field(repr=False)  #: JSON Schema of the arguments object
    parameters: Mapping[str, Parameter] = field(repr=False)
    read_only: bool = False  #: changes nothing: calls of one session may run in parallel
    relative: bool = False  #: what a call means depends on what the session was made to show before
    canonicalize: Canonicalize | None = None  #: arguments → JSON that is equal for equal actions
    compare: Compare | None = None  #: do two observations count as equal on replay; default: exact text
    timeout_s: float | None = None

    def validate(self, params: Any) -> dict[str, Any] | ToolResult:
        """The keyword arguments with defaults filled in, or the failure that names every wrong field; None is no params."""
        if params is None:
            params = {}
        elif not isinstance(params, Mapping):
            return ToolResult.failure("invalid_argument", f"params of {self.name}: expected an object of arguments")
        arguments: dict[str, Any] = {}
        problems: list[tuple[str, str, str]] = []
        found = 0
        for name, parameter in self.parameters.items():
            if name in params:
                found += 1
                try:
                    arguments[name] = parameter.check(params[name])
                except Invalid as error:
                    problems.append((name + error.path, error.message, error.hint))
            elif parameter.required:
                problems.append((name, "is missing", f"send {name!r}"))
            else:
                default = parameter.default  # a list or object of its own for each call
                arguments[name] = deepcopy(default) if isinstance(default, list | dict) else default
        if found < len(params):
            problems += self._unknown(params)
        return self._refuse(problems) if problems else arguments

    def _unknown(self, params: Mapping[Any, Any]) -> list[tuple[str, str, str]]:
        known = list(self.parameters)
        there = f"the arguments are: {', '.join(known)}" if known else "it takes no arguments"
        problems = []
        for key in islice((key for key in params if key not in self.parameters), _MOST_NAMED):
            label = key if isinstance(key, str) else repr(key)
            label = label[:60].encode("ascii", "backslashreplace").decode()
            guess = suggest(label, known)
            problems.append((label, "is not an argument", f"did you mean {guess!r}?" if guess else there))
        return problems

    def _refuse(self, problems: list[tuple[str, str, str]]) -> ToolResult:
        said = [
            f"argument {where!r} {what}" if what.startswith("is ") else f"argument {where!r}: {what}"
            for where, what, _ in problems
        ]
        return ToolResult.failure(
            "invalid_argument",
            "; ".join(said),
            hint="; ".join(dict.fromkeys(hint for *_, hint in problems if hint)),
            data={"fields": [where for where, *_ in problems]},
        )

    def canonical(self, arguments: Mapping[str, Any]) -> Any:
        """What makes two calls the same action: the tool's own rule, else the checked arguments."""
        return self.canonicalize(arguments) if self.canonicalize is not None else arguments


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    read_only: bool = False,
    relative: bool = False,
    canonicalize: Canonicalize | None = None,
    compare: Compare | None = None,
    timeout_s: float | None = None,
) -> Callable[[F], F]: ...
def tool(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    read_only: bool = False,
    relative: bool = False,
    canonicalize: Canonicalize | None = None,
    compare: Compare | None = None,
    timeout_s: float | None = None,
) -> F | Callable[[F], F]:
    """Make a method of a `Backend` a tool. Its first parameter after ``self`` is the session's ``state``.

    Args:
        function: the method, where the decorator is bare.
        name: the tool's name without the group; default: the method's.
        read_only: it changes nothing, so calls of one session may run in parallel.
        relative: what a call means depends on what the session was made to show before (``click`` on a reference,
            a coordinate, ``back``), so that the same arguments elsewhere are another action.
        canonicalize: ``arguments -> JSON``, equal for calls that are the same action.
        compare: ``(recorded, replayed) -> bool`` over observations; default: equal texts.
        timeout_s: how long one call may run, in seconds; default: the limit of the backend.

    Raises:
        PluginError: the signature or the docstring cannot be made a schema; the message names the line.
    """

    def mark(decorated: F) -> F:
        made = _tool_function(
            decorated,
            name=_checked(decorated, check_name, name or decorated.__name__, "tool"),
            takes_state=True,
            read_only=read_only,
            relative=relative,
            canonicalize=canonicalize,
            compare=compare,
            timeout_s=timeout_s,
        )
        setattr(decorated, _MARK, made)
        return decorated

    return mark if function is None else mark(function)


@overload
def register_api_tool(function: F, /) -> F: ...
@overload
def register_api_tool(
    *,
    name: str | None = None,
    read_only: bool = False,
    canonicalize: Canonicalize | None = None,
    compare: Compare | None = None,
    timeout_s: float | None = None,
) -> Callable[[F], F]: ...
def register_api_tool(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    read_only: bool = False,
    canonicalize: Canonicalize | None = None,
    compare: Compare | None = None,
    timeout_s: float | None = None,
) -> F | Callable[[F], F]:
    """Make a function a tool that needs no session; async, or plain and then run in a worker thread.

    The function is returned unchanged but for a mark, by which plugins and ``--load`` files offer it.

    Args:
        function: the function, where the decorator is bare.
        name: ``group:tool``; default: ``local:<function>``.
        read_only: it changes nothing.
        canonicalize: ``arguments -> JSON``, equal for calls that are the same action.
        compare: ``(recorded, replayed) -> bool`` over observations; default: equal texts.
        timeout_s: how long one call may run, in seconds.

    Raises:
        PluginError: the signature or the docstring cannot be made a schema; the message names the line.
    """

    def mark(decorated: F) -> F:
        made = _tool_function(
            decorated,
            name=_checked(decorated, check_tool_name, name or f"local:{decorated.__name__}"),
            takes_state=False,
            read_only=read_only,
            canonicalize=canonicalize,
            compare=compare,
            timeout_s=timeout_s,
        )
        setattr(decorated, _MARK, made)
        return decorated

    return mark if function is None else mark(function)


def tool_function(candidate: object) -> ToolFunction | None:
    """The tool that a decorator made of the function, or None."""
    found = getattr(candidate, _MARK, None)
    return found if isinstance(found, ToolFunction) else None


def _checked(function: Callable[..., Any], check: Callable[..., str], *arguments: str) -> str:
    try:
        return check(*arguments)
    except UsageError as error:
        raise PluginError(f"{_where(function)}: {error.message}", hint=error.hint) from error


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
    return f"tool {getattr(function, '__qualname__', function)}{place}"


def _tool_function(function: Callable[..., Any], *, takes_state: bool, **settings: Any) -> ToolFunction:
    where = _where(function)
    if not inspect.isfunction(function):
        raise PluginError(f"{where} is a {type(function).__name__}, not a function")
    docstring = parse_docstring(function.__doc__)
    if not docstring.description:
        raise PluginError(f"{where} has no docstring", hint="its docstring is what a model reads about the tool")
    declared = _declared(function, where, takes_state)
    if strangers := [name for name in docstring.arguments if name not in declared]:
        guess = did_you_mean(strangers[0], declared)
        raise PluginError(f"{where}: its docstring describes {strangers[0]!r}, which is no parameter{guess}")
    parameters: dict[str, Parameter] = {}
    properties: dict[str, Any] = {}
    for name, parameter in declared.items():
        parameters[name], properties[name] = _parameter(function, where, parameter, docstring.arguments.get(name, ""))
    schema = {
        "type": "object",
        "properties": properties,
        "required": [name for name, parameter in parameters.items() if parameter.required],
        "additionalProperties": False,
    }
    return ToolFunction(
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        takes_state=takes_state,
        description=docstring.description,
        schema=schema,
        parameters=parameters,
        **settings,
    )


def _declared(function: Callable[..., Any], where: str, takes_state: bool) -> dict[str, inspect.Parameter]:
    declared = list(inspect.signature(function).parameters.values())
    if takes_state:
        if len(declared) < 2 or declared[1].name.lstrip("_") != "state":
            raise PluginError(
                f"{where}: the first parameter after self must be 'state'",
                hint="it is what initialize returned: async def add(self, state: Counter, amount: int = 1)",
            )
        declared = declared[2:]
    for parameter in declared:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginError(f"{where}: {parameter} has no schema", hint="name each parameter")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise PluginError(f"{where}: {parameter.name!r} is positional-only", hint="arguments are passed by name")
        if parameter.annotation is parameter.empty:
            raise PluginError(f"{where}: parameter {parameter.name!r} has no annotation")
    return {parameter.name: parameter for parameter in declared}


def _parameter(
    function: Callable[..., Any], where: str, parameter: inspect.Parameter, described: str
) -> tuple[Parameter, dict[str, Any]]:
    try:
        checked = compile_annotation(_resolved(function, parameter.annotation))
    except NameError as error:
        raise PluginError(
            f"{where}: the annotation of {parameter.name!r} cannot be resolved: {error}",
            hint="import its types at module level, not under TYPE_CHECKING",
        ) from error
    except UnsupportedAnnotation as error:
        raise PluginError(f"{where}: parameter {parameter.name!r}: {error}") from error
    if described and checked.description:
        raise PluginError(
            f"{where}: parameter {parameter.name!r} is described twice",
            hint="describe it in the docstring or in Annotated, not in both",
        )
    schema = dict(checked.schema)
    if text := described or checked.description:
        schema["description"] = text
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    if not required:
        plain = getattr(default, "value", default)
        try:
            default = checked.check(plain)
        except Invalid as error:
            raise PluginError(
                f"{where}: the default of {parameter.name!r} does not fit its annotation: {error.message}"
            ) from error
        schema["default"] = list(plain) if isinstance(plain, tuple) else plain
    return Parameter(name=parameter.name, check=checked.check, required=required, default=default), schema


def _resolved(function: Callable[..., Any], annotation: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    module = sys.modules.get(function.__module__)
    scope = dict(vars(module)) if module else {}
    scope.update(getattr(function, "__globals__", {}))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # a cell that is still empty, such as the class that is being made
            scope[name] = cell.cell_contents
    return eval(annotation, scope)
