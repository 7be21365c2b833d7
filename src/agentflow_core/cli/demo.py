"""``agentflow demo``: the whole job on bundled data with the offline model; no key, no network."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from agentflow_core.cli.running import conduct_run, progress_mode
from agentflow_core.cli.terminal import printable
from agentflow_core.config import load_config
from agentflow_core.errors import RunError, UsageError
from agentflow_core.evaluation import RolloutConfig, run_rollout
from agentflow_core.names import unknown_name
from agentflow_core.plugins import PluginHost
from agentflow_core.refs import resolve
from agentflow_core.runs import RunOptions, RunReader
from agentflow_core.synthesis import SynthesisConfig, run_synthesis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentflow_core.contributions import BackendSpec

__all__ = ["command"]

_SHOWN = 4


@click.command(name="demo")
@click.option(
    "--run",
    "directory",
    type=click.Path(path_type=Path),
    default=Path("runs/demo"),
    show_default=True,
    metavar="DIR",
    help="Where its two runs go; what is there is gone on with.",
)
@click.option("--backend", metavar="NAME", help="Whose demo; default: the first installed one that has a demo.")
@click.option("--plain", is_flag=True, help="One line every ten seconds in place of bars.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output.")
def command(directory: Path, backend: str | None, plain: bool, as_json: bool) -> None:
    """Synthesize QA from a bundled corpus, then evaluate an agent on them.

    Everything is done by the offline model: rules that the plugin brings, a baseline that a real model must beat.
    """
    host = PluginHost.load()
    mode = progress_mode(as_json=as_json, plain=plain)
    synthesis = load_config(SynthesisConfig, _demo_of(host, backend), registry=host.registry)
    made = conduct_run(
        host,
        mode,
        partial(run_synthesis, synthesis, host=host, options=RunOptions(run_dir=directory / "synthesis")),
    )
    if not made.summary["funnel"]["accepted"]:
        raise RunError("the demo accepted no QA", hint=f"look at {made.run_dir / 'rejected.jsonl'}")
    if mode != "json":
        click.echo("Some of the questions\n")
        for qa in islice(RunReader(made.run_dir).qa(), _SHOWN):
            click.echo(click.wrap_text(printable(qa.question), 88, "  ", "  "))
            click.echo(f"    {printable(qa.answer)}\n")
        click.echo("Now the agent answers them.\n")
    rollout = load_config(
        RolloutConfig,
        {
            "sandbox": synthesis.resolved["sandbox"],
            "data": {"path": str((made.run_dir / "qa.jsonl").absolute())},
            "rollout": {"tools": list(synthesis.config.tools), "max_turns": 8},
            "metrics": ["exact_match", "f1_score", "contains_answer"],
        },
        registry=host.registry,
    )
    conduct_run(host, mode, partial(run_rollout, rollout, host=host, options=RunOptions(run_dir=directory / "rollout")))


def _demo_of(host: PluginHost, backend: str | None) -> Mapping[str, object]:
    specs = [cast("BackendSpec", entry.spec) for entry in host.registry.entries("backend")]
    with_demo = {spec.name: spec.demo for spec in specs if spec.demo}
    if not with_demo:
        raise UsageError("no installed plugin brings a demo", hint="pip install agentflow-rag")
    if backend is not None and backend not in with_demo:
        raise unknown_name("demo", backend, with_demo)
    config: Mapping[str, object] = resolve(with_demo[backend or min(with_demo)])()
    return config
