"""Put what an importer reads into a run directory: journal first, then the files that are derived from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core import __version__
from agentflow_core.blobs import BlobStore
from agentflow_core.config import load_config
from agentflow_core.errors import DataError
from agentflow_core.evaluation.config import RolloutConfig
from agentflow_core.evaluation.summary import summarize_results
from agentflow_core.importing.atif import files_of as trajectories_of
from agentflow_core.importing.atif import read_atif
from agentflow_core.importing.earlier import files_of as outputs_of
from agentflow_core.importing.earlier import is_of_synthesis, read_earlier
from agentflow_core.importing.notes import Notes
from agentflow_core.importing.openai import read_openai
from agentflow_core.importing.samples import Pair, Sample
from agentflow_core.names import unknown_name
from agentflow_core.records import Task, TaskResult, ToolDefinition, Usage
from agentflow_core.records.codec import dump, dumps, load
from agentflow_core.runs import Run
from agentflow_core.runs.files import stored_text
from agentflow_core.runs.keys import canonical
from agentflow_core.runs.stages import UnitJournal
from agentflow_core.synthesis.config import SynthesisConfig

if TYPE_CHECKING:
    from agentflow_core.interfaces import Unit

__all__ = ["FORMS", "Imported", "Importer", "import_run"]

_AT_ONCE = 500  #: units that share one fsync


@frozen(kw_only=True)
class Importer:
    """How a form is read."""

    read: Callable[[Path, BlobStore, Notes], Iterable[Sample] | Iterable[Pair]]
    files: Callable[[Path], list[Path]] = lambda path: [path]
    is_synthesis: Callable[[Path], bool] = lambda path: False
    summary: str


#: What can be imported.
FORMS: Mapping[str, Importer] = {
    "agentflow": Importer(
        read=read_earlier,
        files=outputs_of,
        is_synthesis=is_of_synthesis,
        summary="results, trajectories and pairs of the earlier AgentFlow: a file, or its output folder",
    ),
    "atif": Importer(read=read_atif, files=trajectories_of, summary="trajectories in ATIF 1: a file, or a folder"),
    "openai": Importer(read=read_openai, summary="messages and tools in OpenAI's chat form, one conversation a row"),
}


@frozen(kw_only=True)
class Imported:
    """What an import made."""

    run_dir: Path
    kind: str  #: ``rollout`` or ``synthesis``
    count: int  #: samples, or pairs
    notes: Notes


def import_run(path: Path, form: str, run_dir: Path) -> Imported:
    """Make a run of foreign files. Doing it again goes on where it was interrupted, and changes nothing else.

    Raises:
        UnknownNameError: a form that is not in `FORMS`.
        DataError: the files are not of the form; names file and line.
        RunConflictError: the directory holds another run.
        StorageError: the disk refuses.
    """
    importer = FORMS.get(form)
    if importer is None:
        raise unknown_name("form", form, FORMS)
    files = importer.files(path)
    stage = {"imported": {"from": form, "sha256": _digest(files)}}
    notes = Notes()
    is_synthesis = importer.is_synthesis(path)
    name = "qa" if is_synthesis else "rollout"
    with Run.open(
        run_dir,
        kind="synthesis" if is_synthesis else "rollout",
        config=_config(path, is_synthesis=is_synthesis),
        stages={name: stage},
        versions={"agentflow-core": __version__},
    ) as run:
        found = importer.read(path, run.blobs, notes)
        write = _write_pairs if is_synthesis else _write_samples
        count = write(run, name, found)  # type: ignore[arg-type]
    return Imported(run_dir=run_dir, kind="synthesis" if is_synthesis else "rollout", count=count, notes=notes)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _config(path: Path, *, is_synthesis: bool) -> Mapping[str, Any]:
    """The configuration of a run that nobody configured: where it came from, and a judge for rescoring."""
    if is_synthesis:
        return load_config(SynthesisConfig, {"model": "offline"}).resolved
    return load_config(RolloutConfig, {"model": "offline", "data": {"path": str(path.resolve())}}).resolved


# ---- rollouts


def _write_samples(run: Run, stage: str, samples: Iterable[Sample]) -> int:
    tools: dict[str, ToolDefinition] = {}
    units: list[Unit] = []

    def journals() -> Iterator[tuple[UnitJournal, str]]:
        for sample in _numbered(samples):
            for tool in sample.tools:
                tools.setdefault(tool.wire_name, tool)
            unit = _unit(run, stage, sample.result.trajectory_id, sample)
            unit = evolve(unit, input=dump(_task_of(sample.result)))  # as a rollout plans it
            units.append(unit)
            journal = UnitJournal(unit, attempt=1)
            if sample.trajectory is not None:
                journal.add("trajectory", dump(sample.trajectory))
            journal.add("result", dump(sample.result))
            outcome = sample.result.outcome
            yield journal, "ok" if outcome == "answered" else outcome

    _keep(run, stage, units, journals())
    keys = {unit.key for unit in units}
    run.write("results.jsonl", run.lines(stage, "result", keys))
    run.write("trajectories.jsonl", run.lines(stage, "trajectory", keys))
    run.write("tools.jsonl", map(dumps, tools.values()))
    results = [load(TaskResult, data) for unit in run.records(stage) for data in unit.of("result")]
    metrics = dict.fromkeys(name for result in results for name in result.scores)
    summary = summarize_results(
        results,
        list(metrics),
        status="complete",
        planned=len(results),
        usage={"solver": sum((result.usage for result in results), Usage())},
        versions={"agentflow-core": __version__},
    )
    run.finish("complete", summary)
    return len(units)


def _task_of(result: TaskResult) -> Task:
    """The task of a sample, as far as a foreign file tells it."""
    return Task(id=result.task_id, question=result.question, references=result.references, metadata=result.metadata)


def _numbered(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples with their ids: of those of one task, the first is sample 0."""
    seen: dict[str, set[int]] = {}
    for sample in samples:
        task = sample.result.task_id
        taken = seen.setdefault(task, set())
        number = sample.result.sample if sample.result.sample not in taken else max(taken) + 1
        taken.add(number)
        id = f"{task}#{number}"
        result = evolve(sample.result, sample=number, trajectory_id=id)
        trajectory = sample.trajectory
        if trajectory is not None:
            trajectory = evolve(trajectory, id=id, task_id=task, sample=number)
        yield evolve(sample, result=result, trajectory=trajectory)


# ---- syntheses


def _write_pairs(run: Run, stage: str, pairs: Iterable[Pair]) -> int:
    units: list[Unit] = []
    tools: dict[str, ToolDefinition] = {}
    paths: set[str] = set()

    def journals() -> Iterator[tuple[UnitJournal, str]]:
        for pair in pairs:
            unit = _unit(run, stage, pair.qa.id, pair.qa)
            units.append(unit)
            journal = UnitJournal(unit, attempt=1)
            journal.add("draft", dump(pair.qa))
            if pair.path.id not in paths:
                paths.add(pair.path.id)
                journal.add("path", dump(pair.path))
            for node in pair.nodes:
                value = dump(evolve(node, kept_by=(pair.path.id,)))
                if node.result is not None:
                    value["result"]["text"] = stored_text(node.result.text, run.blobs)
                journal.add("node", value)
                if node.tool is not None:
                    tools.setdefault(node.tool, _undescribed(node.tool))
            yield journal, "ok"

    _keep(run, stage, units, journals())
    keys = {unit.key for unit in units}
    run.write("qa.jsonl", run.lines(stage, "draft", keys))
    run.write("rejected.jsonl", ())
    run.write("paths.jsonl", run.lines(stage, "path", keys))
    run.write("tree.jsonl", run.lines(stage, "node", keys))
    run.write("tools.jsonl", map(dumps, tools.values()))
    count = len(units)
    run.finish(
        "complete",
        {
            "kind": "synthesis",
            "status": "complete",
            "counts": {"accepted": count, "rejected": 0},
            "funnel": {"paths": len(paths), "drafts": count, "rejected": {}, "accepted": count},
            "metrics": {},
            "usage": {"by_role": {}, "cost_usd": None, "cost_per_accepted": None},
            "versions": {"agentflow-core": __version__},
        },
    )
    return count


def _undescribed(name: str) -> ToolDefinition:
    return ToolDefinition(name=name, description="", parameters={"type": "object", "properties": {}})


# ---- the journal


def _unit(run: Run, stage: str, id: str, record: Any) -> Unit:
    content = hashlib.sha256(canonical(dump_of(record))).hexdigest()
    return run.unit(stage, id, {"id": id, "content": content})


def dump_of(record: Any) -> Any:
    """A sample or a pair's record as JSON."""
    return [dump(record.result), dump(record.trajectory)] if isinstance(record, Sample) else dump(record)


def _keep(run: Run, stage: str, units: list[Unit], journals: Iterator[tuple[UnitJournal, str]]) -> None:
    """Append what is not there yet, then plan it; ``units`` fills while it is read."""
    run.drop_damaged(stage)
    done = run.done(stage, retry_failed=False)
    while group := list(islice(journals, _AT_ONCE)):
        batches = [journal.batch(outcome, None) for journal, outcome in group if journal.unit.key not in done]
        if batches:
            run.journal.append(batches)
    if not units:
        raise DataError(f"there is nothing to import into {run.dir}")
    run.plan(stage, units)
