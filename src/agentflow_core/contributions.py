"""What the hooks of a plugin return: one frozen base and its kinds. Targets are paths, imported at first use."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen

from agentflow_core.names import check_name, check_tool_name
from agentflow_core.refs import check_ref

__all__ = [
    "BackendSpec",
    "Check",
    "Contribution",
    "ExecutorSpec",
    "ExporterSpec",
    "GateSpec",
    "MetricSpec",
    "ModelSpec",
    "ScorerSpec",
    "SelectorSpec",
    "ToolSpec",
]


def _optional_ref(_: object, __: object, value: str | None) -> None:
    if value is not None:
        check_ref(value)


@frozen
class Contribution:
    """A name, the import path of what stands behind it, and one line about it."""

    kind: ClassVar[str]

    name: str
    target: str = field(kw_only=True, validator=lambda _, __, value: check_ref(value))
    config: str | None = field(default=None, kw_only=True, validator=_optional_ref)  #: path of a frozen attrs class
    summary: str = field(kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_name(self.name, self.kind)


@frozen
class BackendSpec(Contribution):
    """An environment with a life cycle; the target is a subclass of ``Backend``."""

    kind = "backend"
    offline: str | None = field(default=None, kw_only=True, validator=_optional_ref)  #: path of an OfflinePolicy
    demo: str | None = field(default=None, kw_only=True, validator=_optional_ref)
    """Path of a function ``() -> Mapping``: the configuration of a small synthesis on data that the plugin brings."""
    subject: str | None = field(default=None, kw_only=True, validator=_optional_ref)
    """Path of a `Subject` of ``agentflow_core.testing.conformance``, or of a function or class that makes one.

    It says with which calls ``agentflow doctor --conformance NAME`` tries the laws; without it, those that need calls
    are skipped.
    """


@frozen
class ToolSpec(Contribution):
    """A tool that needs no session; the target is a function made with ``@register_api_tool``."""

    kind = "tool"
    offline: str | None = field(default=None, kw_only=True, validator=_optional_ref)

    def __attrs_post_init__(self) -> None:
        check_tool_name(self.name)


@frozen
class ScorerSpec(Contribution):
    """Scores paths for selection."""

    kind = "scorer"


@frozen
class SelectorSpec(Contribution):
    """Chooses among scored paths."""

    kind = "selector"


@frozen
class GateSpec(Contribution):
    """Judges QA drafts. Gates that need nothing run first, those that need a model last."""

    kind = "gate"
    needs: Literal["nothing", "sandbox", "model", "both"] = field(default="nothing", kw_only=True)
    scope: Literal["draft", "run"] = field(default="draft", kw_only=True)  #: ``run``: the target is a RunGate
    calls: int = field(default=1, kw_only=True)  #: about how many model calls a draft takes, for the order of gates


@frozen
class MetricSpec(Contribution):
    """Scores predictions."""

    kind = "metric"
    needs: Literal["nothing", "judge", "embedder", "sandbox"] = field(default="nothing", kw_only=True)
    gives: Literal["score", "figures", "aggregate"] = field(default="score", kw_only=True)
    """``score``: the target is a Metric that grades a sample. ``figures``: a Metric that describes one: its scores are
    ungraded and hold ``figures``. ``aggregate``: the target is an Aggregate, which scores a task by all its samples.
    """


@frozen
class ModelSpec(Contribution):
    """A chat model provider."""

    kind = "model"


@frozen
class ExecutorSpec(Contribution):
    """Decides where units of work run."""

    kind = "executor"


@frozen
class ExporterSpec(Contribution):
    """Writes a training format."""

    kind = "exporter"


@frozen
class Check(Contribution):
    """A probe for ``agentflow doctor``; the target is ``async () -> tuple[bool, str]``: does it work, and what to do."""

    kind = "check"
