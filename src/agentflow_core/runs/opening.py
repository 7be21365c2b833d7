"""Open everything that a run works with: the directory, the models, the sandbox, the executor; close it in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from agentflow_core.errors import UsageError
from agentflow_core.models import BudgetConfig, ModelsConfig, open_models
from agentflow_core.runs.directory import Run, default_run_dir
from agentflow_core.runs.stages import StageReport, StopSignal, UnitJournal, run_stage
from agentflow_core.sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from agentflow_core.config import Loaded, PluginChoice
    from agentflow_core.interfaces import Executor, Models, SandboxClient, Unit
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records.events import Event

__all__ = ["RunConfig", "RunOptions", "Workshop", "open_workshop"]


class RunConfig(Protocol):
    """What the configurations of all kinds of runs have in common."""

    @property
    def models(self) -> ModelsConfig: ...
    @property
    def sandbox(self) -> SandboxConfig: ...
    @property
    def executor(self) -> PluginChoice: ...
    @property
    def max_workers(self) -> int: ...
    @property
    def run_dir(self) -> Path | None: ...


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
    host: PluginHost
    models: Models
    sandbox: SandboxClient
    executor: Executor
    max_workers: int
    retry_failed: bool
    stop: StopSignal
    observe: Callable[[Event], None]

    async def stage(
        self, name: str, units: Sequence[Unit], work: Callable[[Unit, UnitJournal], Awaitable[str]]
    ) -> StageReport:
        """Plan the units of a stage and do those that the journal does not hold yet."""
        self.run.plan(name, units)
        return await run_stage(
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


@asynccontextmanager
async def open_workshop(
    *,
    kind: str,
    loaded: Loaded[Any],
    stages: Mapping[str, Mapping[str, Any]],
    host: PluginHost,
    options: RunOptions,
    observe: Callable[[Event], None],
    stop: StopSignal,
) -> AsyncIterator[Workshop]:
    """Open a run of the configuration; ``stages`` names, for each stage, the part of the configuration it depends on.

    Raises:
        UsageError: options that exclude each other.
        RunError: the directory cannot be used; see its subclasses.
    """
    config: RunConfig = loaded.config
    if options.record and options.replay:
        raise UsageError("--record and --replay exclude each other")
    stem = loaded.path.stem if loaded.path else kind
    directory = options.run_dir or config.run_dir or default_run_dir(Path("runs"), kind, stem)
    versions = {entry.provider.distribution: entry.provider.version for entry in host.registry.entries("backend")}
    with Run.open(
        directory,
        kind=kind,
        config=loaded.resolved,
        stages=stages,
        versions=versions,
        resume=options.resume,
        fork=options.fork,
    ) as run:
        async with (
            open_models(
                _with_budget(config.models, options.budget),
                host=host,
                cache=run.cache_path,
                record=options.record,
                replay=options.replay,
                blobs=run.blobs,
                observe=observe,
            ) as models,
            Sandbox(
                config=config.sandbox,
                host=host,
                artifacts=run.blobs,
                observe=observe,
                record=options.record,
                replay=options.replay,
            ) as sandbox,
        ):
            yield Workshop(
                run=run,
                host=host,
                models=models,
                sandbox=sandbox,
                executor=host.registry.get("executor", config.executor.name).build(config.executor.settings),
                max_workers=config.max_workers,
                retry_failed=options.retry_failed,
                stop=stop,
                observe=observe,
            )


def _with_budget(models: ModelsConfig, budget: BudgetConfig | None) -> ModelsConfig:
    if budget is None:
        return models
    from attrs import evolve

    return evolve(models, budget=budget)
