"""Call the hooks of one plugin; the only place where hooks are called."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pluggy

from agentflow_core import hookspecs
from agentflow_core.contributions import (
    BackendSpec,
    Check,
    Contribution,
    ExecutorSpec,
    ExporterSpec,
    GateSpec,
    MetricSpec,
    ModelSpec,
    ScorerSpec,
    SelectorSpec,
    ToolSpec,
)
from agentflow_core.errors import AgentFlowError, PluginError
from agentflow_core.names import did_you_mean, wire_name

if TYPE_CHECKING:
    from agentflow_core.records.events import Event

__all__ = ["CONTRIBUTING", "PluginHooks"]

#: What each contributing hook yields.
CONTRIBUTING: Mapping[str, type[Contribution]] = {
    "agentflow_backends": BackendSpec,
    "agentflow_tools": ToolSpec,
    "agentflow_scorers": ScorerSpec,
    "agentflow_gates": GateSpec,
    "agentflow_selectors": SelectorSpec,
    "agentflow_metrics": MetricSpec,
    "agentflow_models": ModelSpec,
    "agentflow_executors": ExecutorSpec,
    "agentflow_exporters": ExporterSpec,
    "agentflow_doctor": Check,
}
OBSERVE = "agentflow_observe"
HOOKS = (*CONTRIBUTING, OBSERVE)


class PluginHooks:
    """The hooks of one plugin, checked against the specifications and kept apart from every other plugin's."""

    def __init__(self, name: str, plugin: object) -> None:
        """Check the plugin's hooks.

        Raises:
            PluginError: a wrong signature, a hook that is misspelt or unmarked.
        """
        self._manager = pluggy.PluginManager("agentflow")
        self._manager.add_hookspecs(hookspecs)
        self._check_names(plugin)
        try:
            self._manager.register(plugin, name)
        except pluggy.PluginValidationError as error:
            raise PluginError(" ".join(str(error).split())) from error
        for hook in HOOKS:
            for found in self._caller(hook).get_hookimpls():
                if inspect.iscoroutinefunction(found.function) or inspect.isasyncgenfunction(found.function):
                    raise PluginError(f"{hook} is 'async def'; hooks are plain functions")
        #: The hooks that the plugin implements.
        self.implemented = tuple(hook for hook in HOOKS if self._caller(hook).get_hookimpls())

    @property
    def observes(self) -> bool:
        """Whether the plugin wants to be told of events."""
        return OBSERVE in self.implemented

    def contributions(self) -> tuple[Contribution, ...]:
        """What the plugin contributes, hook by hook.

        Raises:
            PluginError: a hook fails, also late, yields something else than it should, or claims a name twice.
        """
        specs: dict[tuple[str, str], Contribution] = {}
        for hook in self.implemented:
            if hook == OBSERVE:
                continue
            for spec in self._ask(hook):
                claim = spec.kind, wire_name(spec.name)
                if claim in specs:
                    raise PluginError(f"{hook} yields the {spec.kind} {spec.name!r} twice")
                specs[claim] = spec
        return tuple(specs.values())

    def observe(self, event: Event) -> None:
        """Tell the plugin of an event. Raises whatever the plugin raises."""
        self._manager.hook.agentflow_observe(event=event)

    def _ask(self, hook: str) -> Iterator[Contribution]:
        wanted = CONTRIBUTING[hook].__name__
        with _failure_of(hook):
            answers: list[Any] = self._caller(hook)()
        if not answers:  # pluggy leaves out an answer of None
            raise PluginError(f"{hook} returns None; yield each {wanted}")
        for answer in answers:
            if not isinstance(answer, Iterable):
                raise PluginError(f"{hook} returns {_named(answer)}, not an iterable of {wanted}")
            with _failure_of(hook):  # a generator raises only now
                specs = list(answer)
            for spec in specs:
                if not isinstance(spec, CONTRIBUTING[hook]):
                    raise PluginError(f"{hook} yields {_named(spec)}, not {wanted}")
                yield spec

    def _caller(self, hook: str) -> pluggy.HookCaller:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return caller

    def _check_names(self, plugin: object) -> None:
        for name in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, name)
            if options is None:
                if name in HOOKS and inspect.isroutine(inspect.getattr_static(plugin, name)):
                    raise PluginError(f"{name} is not marked with @hookimpl")
                continue
            hook = options.get("specname") or name
            if hook not in HOOKS and not options.get("optionalhook"):
                known = did_you_mean(hook, HOOKS) or f"; there is: {', '.join(HOOKS)}"
                raise PluginError(f"{hook} is no hook{known}")


@contextmanager
def _failure_of(hook: str) -> Iterator[None]:
    try:
        yield
    except AgentFlowError as error:
        raise PluginError(f"{hook} fails: {error.message}", hint=error.hint) from error
    except (Exception, SystemExit) as error:  # plugin boundary
        told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PluginError(f"{hook} fails: {told}") from error


def _named(value: object) -> str:
    kind = type(value).__name__
    article = "an" if kind[0].lower() in "aeiou" else "a"
    return f"{article} {kind} {value.name!r}" if isinstance(value, Contribution) else f"{article} {kind}"
