"""Open everything that a run works with: the directory, the models, the sandbox, the executor; close it in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core import __version__
from agentflow_core.errors import AgentFlowError, LimitReached, RunError, StorageError, UsageError
from agentflow_core.interfaces import Executor, SandboxClient
from agentflow_core.models import BudgetConfig, RunModels, open_models
from agentflow_core.plugins import PluginHost
from agentflow_core.records.events import Event, RunFinished
from agentflow_core.runs.directory import Run
from agentflow_core.runs.index import default_run_dir
from agentflow_core.runs.stages import UnitJournal, run_stage
from agentflow_core.runs.stop import StopSignal
from agentflow_core.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from agentflow_core.config import Loaded
    from agentflow_core.interfaces import Unit
    from agentflow_core.runs.config import RunConfig

__all__ = ["Finished", "RunOptions", "Workshop", "conduct", "open_workshop", "raise_failure"]

#: The answers of tools in a recording, beside those of models.
_TOOLS = "tools.sqlite"


@frozen(kw_only=True)
class RunOptions:
    """What a caller says beside the configuration file."""

    run_dir: Path | None = None  #: wins over the configuration's
    resume: bool | None = None  #: None: resume if the directory exists
    fork: Path | None = None  #: start from the stages of this run that did not change
    record: Path | None = None  #: write every answer of models and tools there
    replay: Path | None = None  #: take every answer of models and tools from there
    budget: BudgetConfig | None = None  #: wins over the configuration's
    retry_failed: bool = True


@frozen(kw_only=True)
class Workshop:
    """An open run with its models, sandbox and executor."""

    run: Run
    versions: Mapping[str, str]
    host: PluginHost
    models: RunModels
    sandbox: SandboxClient
    executor: Executor
    max_workers: int
    retry_failed: bool
    stop: StopSignal
    observe: Callable[[Event], None]

    async def stage(
        self, name: str, units: Sequence[Unit], work: Callable[[Unit, UnitJournal], Awaitable[str]]
    ) -> None:
        """Plan the units of a stage and do those that the journal does not hold yet.

        Raises:
            RunError: every unit of the stage failed; the message is that of the first.
        """
        try:
            report = await run_stage(
                self.run,
                name,
                units,
                work,
                executor=self.executor,
                max_workers=self.max_workers,
                observe=self.observe,
                stop=self.stop,
                retry_failed=self.retry_failed,
            )
        finally:
            self.run.record_spent(self.models.spent)
        if report.failed and report.failed == report.total:
            message, hint = self._first_failure(name)
            what = f"all {report.total} units of" if report.total > 1 else "the only unit of"
            raise RunError(
                f"{what} stage {name!r} failed{'; the first' if report.total > 1 else ''}: {message}", hint=hint
            )

    def _first_failure(self, stage: str) -> tuple[str, str]:
        """What the first failed unit says, and its hint: what it raised, or what it noted as its ``error``."""
        for found in self.run.records(stage):
            if found.error is not None:
                return found.error.message, found.error.hint
            for noted in found.of("error"):
                message, _, hint = str(noted["message"]).partition("\n  ")
                return message, hint
        return "no reason was kept", ""


@frozen(kw_only=True)
class Finished:
    """How a run ended.

    ``status`` is ``complete``, ``interrupted`` (asked to stop), ``limited`` (a budget is spent) or ``failed``;
    ``error`` is what ended it early, or made every unit of a stage fail.
    """

    run_dir: Path
    status: str
    summary: Mapping[str, Any]
    error: AgentFlowError | None = None


async def conduct(
    workshop: Workshop, work: Callable[[], Awaitable[None]], derive: Callable[[str], Awaitable[Mapping[str, Any]]]
) -> Finished:
    """Do the work; whatever ends it, write the derived files of what was finished, then say how it ended.

    Raises:
        StorageError: nothing can be written any more; what was finished before is kept.
    """
    run = workshop.run
    error: AgentFlowError | None = None
    status = "complete"
    try:
        await work()
        if workshop.stop.is_set:
            status = "interrupted"
    except StorageError:
        raise
    except LimitReached as limit:
        status, error = "limited", limit
    except AgentFlowError as failure:
        status, error = "failed", failure
    summary = await derive(status)
    run.finish(status, summary, spent=workshop.models.spent)
    workshop.observe(RunFinished(run_dir=str(run.dir), status=status, summary=summary))
    return Finished(run_dir=run.dir, status=status, summary=summary, error=error)


def raise_failure(finished: Finished) -> None:
    """Raise what made a run fail; a run that a limit or a request ended is resumable and does not raise."""
    if finished.status == "failed" and finished.error is not None:
        raise finished.error


@asynccontextmanager
async def open_workshop(
    *,
    kind: str,
    loaded: Loaded[Any],
    stages: Mapping[str, Mapping[str, Any]],
    tools: Sequence[str],
    host: PluginHost,
    options: RunOptions,
    observe: Callable[[Event], None],
    stop: StopSignal,
) -> AsyncIterator[Workshop]:
    """Open a run of the configuration.

    ``stages`` names, for each stage, the part of the configuration that it depends on; ``tools`` are the patterns of
    the tools that it uses, whose plugins' versions it depends on too.

    Raises:
        UsageError: options that exclude each other.
        RunError: the directory cannot be used; see its subclasses.
    """
    config: RunConfig = loaded.config
    if options.record and options.replay:
        raise UsageError("--record and --replay exclude each other")
    stem = loaded.path.stem if loaded.path else kind
    directory = options.run_dir or config.run_dir or default_run_dir(Path("runs"), kind, stem)
    versions = _versions(host, tools)
    with Run.open(
        directory,
        kind=kind,
        config=loaded.resolved,
        stages=stages,
        versions=versions,
        resume=options.resume,
        fork=options.fork,
        observe=observe,
    ) as run:
        async with (
            open_models(
                config if options.budget is None else evolve(config, budget=options.budget),
                host=host,
                cache=run.cache_path,
                record=options.record,
                replay=options.replay,
                blobs=run.blobs,
                observe=observe,
                used=run.spent_before,
            ) as models,
            Sandbox(
                config=config.sandbox,
                host=host,
                artifacts=run.blobs,
                observe=observe,
                record=options.record and options.record / _TOOLS,
                replay=options.replay and options.replay / _TOOLS,
            ) as sandbox,
        ):
            yield Workshop(
                run=run,
                versions=versions,
                host=host,
                models=models,
                sandbox=sandbox,
                executor=host.registry.get("executor", config.executor.name).build(config.executor.settings),
                max_workers=config.max_workers,
                retry_failed=options.retry_failed,
                stop=stop,
                observe=observe,
            )


def _versions(host: PluginHost, tools: Sequence[str]) -> dict[str, str]:
    """The versions of the core and of the distributions whose tools the patterns may name."""
    groups = {pattern.partition(":")[0] for pattern in tools}
    providers = [
        entry.provider
        for kind in ("backend", "tool")
        for entry in host.registry.entries(kind)
        if "*" in groups or entry.spec.name.partition(":")[0] in groups
    ]
    found = {provider.distribution: provider.version for provider in providers if provider.distribution}
    return {"agentflow-core": __version__} | {name: found[name] for name in sorted(found)}
