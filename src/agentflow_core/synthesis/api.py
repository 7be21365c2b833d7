"""What Python programs call: `synthesize` and its async twin."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.concurrency import run_blocking
from agentflow_core.errors import UsageError
from agentflow_core.records.events import ignore_event
from agentflow_core.runs import Finished, RunOptions, RunReader, StopSignal, prepare, raise_failure
from agentflow_core.synthesis.config import SynthesisConfig
from agentflow_core.synthesis.pipeline import run_synthesis
from agentflow_core.synthesis.seeds import seeds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentflow_core.records import QA
    from agentflow_core.records.events import Event

__all__ = ["SynthesisResult", "asynthesize", "synthesize"]


class SynthesisResult:
    """What a synthesis made; the records are read from ``run_dir`` when they are asked for."""

    def __init__(self, finished: Finished) -> None:
        self.run_dir = finished.run_dir
        self.status = finished.status
        self.summary = finished.summary

    @property
    def funnel(self) -> Mapping[str, Any]:
        """How many came in and were left after each step."""
        funnel: Mapping[str, Any] = self.summary["funnel"]
        return funnel

    @property
    def accepted(self) -> list[QA]:
        """The pairs that passed every gate, in seed order."""
        return list(RunReader(self.run_dir).qa())

    @property
    def rejected(self) -> list[QA]:
        """The drafts that did not, each with the verdict that says why."""
        return list(RunReader(self.run_dir).rejected())


async def asynthesize(
    config_path: str | Path | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    seeds: Iterable[Any] | None = None,
    output_dir: str | Path | None = None,
    options: RunOptions | None = None,
    observe: Callable[[Event], None] = ignore_event,
) -> SynthesisResult:
    """Synthesize question-answer pairs from seeds.

    Args:
        config_path: the configuration file; or give ``config`` as a mapping.
        config: the configuration itself.
        seeds: texts, objects ``{id, content, kwargs, session}`` or `Seed` records in place of the configuration's.
        output_dir: the run directory in place of the configuration's.
        options: resume, fork, record, replay, budget.
        observe: is told every run event.

    Raises:
        ConfigError, DataError, UnknownNameError: with every problem that was found.
        AgentFlowError: what made the run fail; a limit does not raise, see ``status``.
    """
    if (config_path is None) == (config is None):
        raise UsageError("give either config_path or config")
    source: Any = config_path if config is None else config
    prepared = prepare(SynthesisConfig, source)
    chosen = options or RunOptions()
    if output_dir is not None:
        chosen = evolve(chosen, run_dir=Path(output_dir))
    finished = await run_synthesis(
        prepared.loaded,
        host=prepared.host,
        options=chosen,
        observe=observe,
        stop=StopSignal(),
        seeds=None if seeds is None else seeds_of(seeds),
    )
    raise_failure(finished)
    return SynthesisResult(finished)


def synthesize(config_path: str | Path | None = None, **others: Any) -> SynthesisResult:
    """`asynthesize`, from blocking code; works in notebooks too."""
    return run_blocking(partial(asynthesize, config_path, **others))
