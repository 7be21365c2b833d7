"""The exceptions of AgentFlow, one tree; each knows what to do next and its exit code.

AgentFlowError                      1   anything that AgentFlow itself raises
├── UsageError                      2   a wrong argument or option
│   ├── UnknownNameError            2   a name that nothing provides, with a suggestion
│   ├── ConfigError                 2   every problem of a configuration at once
│   └── DataError                   2   an input file that cannot be read as what it should be
├── PluginError                     1   a plugin that is broken, incompatible or clashes
│   └── RefError                    1   an import path that does not lead to an object
├── ModelError                      1   a model call that failed; see ``kind`` and ``attempts``
│   ├── RateLimitError              1
│   ├── TransientError              1   connection, timeout, 5xx
│   ├── BadOutputError              1   an answer that cannot be read as what was asked for
│   ├── ContextOverflowError        1
│   ├── ContentFilterError          1
│   ├── AuthenticationError         1   stops the run at once
│   ├── ModelRequestError           1   the server refuses the request as wrong (4xx)
│   └── ReplayMissError             1   a request that the recording does not hold
├── SandboxError                    1   the sandbox itself failed; a failing tool is a ToolResult
├── RunError                        1   a run directory that cannot be used
│   ├── RunConflictError            2   it belongs to another configuration
│   ├── RunLockedError              1   another process writes it
│   ├── RunCorruptError             1   it holds records that cannot be trusted
│   └── StorageError                1   the disk is full or refuses to be written
└── LimitReached                    3   a budget or limit ended the work; resumable
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AgentFlowError",
    "AuthenticationError",
    "BadOutputError",
    "ConfigError",
    "ContentFilterError",
    "ContextOverflowError",
    "DataError",
    "LimitReached",
    "ModelError",
    "ModelRequestError",
    "PluginError",
    "Problem",
    "RateLimitError",
    "RefError",
    "ReplayMissError",
    "RunConflictError",
    "RunCorruptError",
    "RunError",
    "RunLockedError",
    "SandboxError",
    "StorageError",
    "TransientError",
    "UnknownNameError",
    "UsageError",
]


class AgentFlowError(Exception):
    """What happened and where (``message``), and what to do about it (``hint``)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(AgentFlowError):
    """A wrong argument or option."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that nothing provides: ``kind`` of thing, ``name``, and what is ``known``."""

    def __init__(self, kind: str, name: str, *, known: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(f"unknown {kind} {name!r}", hint=hint)
        self.kind = kind
        self.name = name
        self.known = known


class Problem:
    """One thing that is wrong with an input, and where: ``file:line:column  path  message``."""

    __slots__ = ("column", "file", "line", "message", "path")

    def __init__(self, message: str, *, path: str = "", file: str = "", line: int = 0, column: int = 0) -> None:
        self.message = message
        self.path = path
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return "  ".join(part for part in (where, self.path, self.message) if part)

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"


class ConfigError(UsageError):
    """A configuration that cannot be used; ``problems`` holds all of them."""

    def __init__(self, problems: list[Problem] | tuple[Problem, ...], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class DataError(UsageError):
    """An input file that cannot be read as what it should be; the message names file and line."""


class PluginError(AgentFlowError):
    """A plugin that is broken, incompatible, or claims what another one claims."""


class RefError(PluginError):
    """An import path ``package.module:Attribute`` that does not lead to an object."""


class ModelError(AgentFlowError):
    """A model call that failed.

    ``kind`` is the word that records and outcomes use; ``retry_after_s`` is what the server asked for;
    ``attempts`` is the history of the retries, oldest first.
    """

    kind: ClassVar[str] = "model"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after_s = retry_after_s
        self.attempts: tuple[str, ...] = ()


class RateLimitError(ModelError):
    """The server asks for fewer requests (429)."""

    kind = "rate_limit"
    retryable = True


class TransientError(ModelError):
    """A connection that failed, a timeout, a 5xx."""

    kind = "transient"
    retryable = True


class BadOutputError(ModelError):
    """An answer that cannot be read as what was asked for; ``output`` is what came."""

    kind = "bad_output"

    def __init__(self, message: str, *, hint: str = "", output: str = "") -> None:
        super().__init__(message, hint=hint)
        self.output = output


class ContextOverflowError(ModelError):
    """The request is longer than the model's context."""

    kind = "context_overflow"


class ContentFilterError(ModelError):
    """The provider refused to answer on grounds of content."""

    kind = "content_filter"


class AuthenticationError(ModelError):
    """The key is missing, wrong or without permission; no further call can succeed."""

    kind = "authentication"


class ModelRequestError(ModelError):
    """The server refuses the request as wrong (a 4xx other than the ones above)."""

    kind = "bad_request"


class ReplayMissError(ModelError):
    """A request that the recording does not hold; the hint shows the nearest one and the difference."""

    kind = "replay_miss"


class SandboxError(AgentFlowError):
    """The sandbox itself failed or was misused. A failing *tool* is a ``ToolResult`` with ``ok=False``.

    ``code`` is one of the codes in ``agentflow_core.records.codes``.
    """

    def __init__(self, message: str, *, code: str = "internal", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class RunError(AgentFlowError):
    """A run directory that cannot be used as asked."""


class RunConflictError(RunError):
    """The directory holds a run of another configuration; the message shows the difference."""

    exit_code = 2


class RunLockedError(RunError):
    """Another process is writing this run."""


class RunCorruptError(RunError):
    """The run holds records that cannot be trusted."""


class StorageError(RunError):
    """The disk is full or refuses to be written; everything finished before is kept."""


class LimitReached(AgentFlowError):
    """A limit ended the work: ``kind`` is one of turns, tokens, usd, wall_time, calls, tool_calls."""

    exit_code = 3

    def __init__(self, kind: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
