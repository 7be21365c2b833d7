"""The Protocols behind which every exchangeable part stands, and the contexts that they are given.

Everything that runs is ``async def`` on one of these; a part that only computes is a plain function.
A contribution's target is a class or factory: it is called with its config instance when its spec names a
config class, and with nothing when it does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import field, frozen

from agentflow_core.blobs import BlobStore
from agentflow_core.prompts import Prompts
from agentflow_core.records import (
    QA,
    Action,
    Completion,
    DraftInputs,
    ModelRequest,
    ModelRole,
    Node,
    Path,
    ProposeInputs,
    Score,
    Seed,
    SolveInputs,
    Task,
    ToolDefinition,
    ToolResult,
    Trajectory,
)

if TYPE_CHECKING:
    import pathlib
    from types import TracebackType
    from typing import Self

__all__ = [
    "Aggregate",
    "Candidate",
    "ChatModel",
    "Choice",
    "Embedder",
    "Executor",
    "Exporter",
    "Gate",
    "GateContext",
    "GateOutcome",
    "Metric",
    "MetricContext",
    "Models",
    "Move",
    "OfflinePolicy",
    "RunGate",
    "SandboxClient",
    "SandboxWorker",
    "ScoredSample",
    "Scorer",
    "ScoringContext",
    "SelectionContext",
    "Selector",
    "SessionInfo",
    "Unit",
]


# ---- models


class ChatModel(Protocol):
    """A chat model, or a layer around one."""

    @property
    def name(self) -> str:
        """What records say, such as ``offline`` or ``openai/gpt-4.1``."""
        ...

    async def complete(self, request: ModelRequest) -> Completion:
        """Answer the request.

        Raises:
            ModelError: typed by what went wrong.
            LimitReached: a budget is spent.
        """
        ...

    async def aclose(self) -> None:
        """Release connections; the model is not used after it."""
        ...


class Embedder(Protocol):
    """Places texts in a space in which those that mean the same are near each other."""

    @property
    def name(self) -> str:
        """What records say, such as ``openai/text-embedding-3-small``."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text, in order.

        Raises:
            ModelError: typed by what went wrong.
            LimitReached: a budget is spent.
        """
        ...


class Models(Protocol):
    """The models of a run, by role."""

    def __call__(self, role: ModelRole) -> ChatModel:
        """The model that plays the role."""
        ...


@frozen(kw_only=True)
class Move:
    """What an offline policy does next for a task: calls, or an answer with its confidence (0 to 1)."""

    actions: tuple[Action, ...] = ()
    answer: str | None = None
    confidence: float = 0.0
    reasoning: str = ""


class OfflinePolicy(Protocol):
    """The rules by which the offline model plays one environment. Deterministic, without network and weights."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """Up to ``inputs.k`` different actions that are not in ``inputs.taken``, best first."""
        ...

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Up to ``inputs.n`` drafts with quoted evidence (ids and gates left empty), best first; none is allowed."""
        ...

    def solve(self, inputs: SolveInputs) -> Move:
        """The next calls, or the answer; on the last turn an answer."""
        ...


# ---- sandbox


@frozen(kw_only=True)
class SessionInfo:
    """A session as clients see it."""

    id: str
    backend: str
    worker_id: str
    state: str  #: starting, ready, busy, draining, closed or failed
    data: Mapping[str, Any] = field(factory=dict)  #: what the backend tells about it


class SandboxWorker(Protocol):
    """A sandbox as one worker sees it: the sessions that it makes are its own."""

    @property
    def worker_id(self) -> str:
        """The label under which its sessions are kept apart."""
        ...

    async def create_session(
        self,
        backends: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        *,
        call_id: str | None = None,
    ) -> Mapping[str, SessionInfo]:
        """Open sessions of one backend, several, or several with their settings; by backend name."""
        ...

    async def execute(
        self,
        tool: str,
        params: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        timeout_s: float | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        """Run one tool. A tool that fails answers with ``ok=False``; only the sandbox's own failure raises."""
        ...

    async def execute_batch(
        self, calls: Sequence[tuple[str, Mapping[str, Any]]], *, parallel: bool = True, stop_on_error: bool = False
    ) -> Sequence[ToolResult]:
        """Run several tools; the results are in call order."""
        ...

    async def list_sessions(self) -> Sequence[SessionInfo]:
        """The worker's open sessions."""
        ...

    async def fork(self, session: str, *, call_id: str | None = None) -> SessionInfo:
        """A new session with a copy of the state that shares nothing; `SandboxError` code ``unsupported`` if it cannot."""
        ...

    async def renew(self, session: str) -> SessionInfo:
        """Start the session's idle time anew."""
        ...

    async def read_file(self, session: str, path: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``[start, end)`` of a file of the session; `SandboxError` code ``unsupported`` if it has none."""
        ...

    async def write_file(self, session: str, path: str, data: bytes) -> None:
        """Put a file into the session; `SandboxError` code ``unsupported`` if it takes none."""
        ...

    async def close_session(self, session: str) -> None:
        """Close a session; closing a closed one does nothing."""
        ...

    async def aclose(self) -> None:
        """Close all sessions of the worker."""
        ...


class SandboxClient(SandboxWorker, Protocol):
    """The sandbox, in this process or behind a URL."""

    def worker(self, worker_id: str) -> SandboxWorker:
        """A view for another worker over the same transport."""
        ...

    async def list_tools(self) -> Sequence[ToolDefinition]:
        """Every tool that is offered, sorted by name."""
        ...

    def tool_traits(self, tool: str) -> Mapping[str, Any]:
        """``{sharing, read_only, relative, canonicalize, compare, forkable, probes, offline}`` of a listed tool."""
        ...

    async def warmup(self, backends: Sequence[str] = ()) -> None:
        """Start backends (default: all enabled) before they are first used."""
        ...

    async def status(self) -> Mapping[str, Any]:
        """Backends, sessions and limits."""
        ...

    async def artifact(self, sha256: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of an artifact, or a range of them."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


# ---- selection


@frozen(kw_only=True)
class ScoringContext:
    """What a scorer may look at beside the path."""

    tools: tuple[str, ...]  #: the tools that the run offers
    max_depth: int
    idf: Callable[[str], float]  #: inverse document frequency of a normalized token over the run's observations


class Scorer(Protocol):
    """Scores one path, 0 to 1, higher is better."""

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """The score of the nodes from the root (no tool) to the leaf."""
        ...


@frozen(kw_only=True)
class Candidate:
    """A scored path with its nodes."""

    path: Path
    nodes: tuple[Node, ...]


@frozen(kw_only=True)
class SelectionContext:
    """What a selector chooses under."""

    max_selected: int  #: a seed's paths to keep at most
    similarity_threshold: float  #: content similarity above which two paths are the same, 0 to 1
    tools: tuple[str, ...]
    rng: Random


@frozen(kw_only=True)
class Choice:
    """What a selector decided on one path, and why."""

    path_id: str
    selected: bool
    reason: str


class Selector(Protocol):
    """Chooses among the candidates of one seed."""

    def select(self, candidates: Sequence[Candidate], context: SelectionContext) -> Sequence[Choice]:
        """One choice for every candidate, the selected ones first in order of choice."""
        ...


# ---- gates


@frozen(kw_only=True)
class GateContext:
    """What a gate may look at: the path that the draft was made from, and what its kind may use."""

    seed: Seed
    path: tuple[Node, ...]
    min_hops: int = 2
    models: Models | None = None  #: for gates that need a model
    sandbox: SandboxClient | None = None  #: for gates that need a sandbox
    tools: tuple[ToolDefinition, ...] = ()  #: those of the run
    prompts: Prompts = field(factory=Prompts)
    blobs: BlobStore | None = None  #: where the bytes of images go


@frozen(kw_only=True)
class GateOutcome:
    """A gate's verdict; ``draft`` is the draft with what the gate found added, such as offsets."""

    passed: bool
    reason: str = ""
    draft: QA | None = None


class Gate(Protocol):
    """Judges one draft by itself.

    A gate may have two attributes that say what its verdicts depend on beside its settings: ``prompts``, names of
    prompts, and ``identity``, JSON such as the hashes of files that it reads.
    """

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """The verdict; ``passed`` with a reason that a person can check.

        Raises:
            ModelError, SandboxError: who had to be asked could not be; the draft is then not judged.
        """
        ...


class RunGate(Protocol):
    """Judges a draft against those before it: called once a draft that passed the other gates, in seed order."""

    def admit(self, draft: QA) -> GateOutcome:
        """The verdict; an admitted draft counts for those that follow."""
        ...


# ---- evaluation


@frozen(kw_only=True)
class ScoredSample:
    """One finished sample of a task, as metrics see it."""

    task: Task
    prediction: str | None
    references: tuple[str, ...]
    outcome: str = "answered"
    sample: int = 0
    trajectory: Trajectory | None = None
    end_state: Mapping[str, Mapping[str, Any]] = field(factory=dict)  #: as `Trajectory.end_state` has it


@frozen(kw_only=True)
class MetricContext:
    """What a metric may use."""

    judge: ChatModel | None = None
    embedder: Embedder | None = None
    sandbox: SandboxClient | None = None
    prompts: Prompts | None = None  #: None: those of the core


class Metric(Protocol):
    """Scores one sample.

    A metric whose needs depend on its settings has an attribute ``needs``, which then counts in place of its spec's.
    """

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """The score; ``graded=False`` when it cannot be judged."""
        ...


class Aggregate(Protocol):
    """Scores a task by all its samples, from what a metric said of each.

    One with the attribute ``pooled = True`` is a figure of a whole benchmark, such as an F1 over all questions: it is
    called with the scores of the samples of all tasks, and the summary's mean is what it returns.
    """

    @property
    def metric(self) -> str:
        """The name of that metric."""
        ...

    def __call__(self, scores: Sequence[Score]) -> Score:
        """The task's score; ``graded=False``, with the reason, where it is not defined.

        Args:
            scores: of the samples that ended, in their order: a crash is a graded 0, ungraded ones are left out.
        """
        ...


# ---- runs


@frozen(kw_only=True)
class Unit:
    """One unit of work: a pure function of its input and of what model and sandbox answer."""

    key: str  #: hash of stage, the config the stage depends on, plugin versions, input and sample
    id: str  #: what people see: ``seed-007``, ``task-3#0``
    stage: str
    input: Any = None  #: JSON


class Executor(Protocol):
    """Decides where units run. The local one is a bounded task group in this process."""

    async def run(
        self,
        units: Sequence[Unit],
        work: Callable[[Unit], Awaitable[None]],
        *,
        max_workers: int,
        should_stop: Callable[[], bool],
    ) -> None:
        """Run every unit, at most ``max_workers`` at once, taken in order; none is taken once ``should_stop()``."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """Writes a run in a training format."""

    def export(self, run_dir: pathlib.Path, output: pathlib.Path) -> int:
        """Write ``output`` from the derived files of the run; returns how many examples were written."""
        ...
