"""What an export costs: trajectories to Parquet, written and read back, beside bare pyarrow; and how memory grows.

python bench/export.py [TRAJECTORIES]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import orjson
import pyarrow
from pyarrow import parquet

from agentflow_core.export import Source
from agentflow_core.export.tables import ParquetExporter, columns_of
from agentflow_core.runs import Run, RunReader

TURNS = 3
TEXT = "The Danube rises in the Black Forest and flows to the Black Sea. " * 8


def result(number: int) -> dict:
    return {
        "task_id": f"task-{number:06}",
        "sample": 0,
        "question": f"Where does river {number} rise?",
        "answer": "Black Forest",
        "references": ["Black Forest"],
        "outcome": "answered",
        "scores": {"f1_score": {"value": number % 7 / 6, "graded": True, "reason": "by hand"}},
        "trajectory_id": f"task-{number:06}#0",
        "usage": {"calls": TURNS, "prompt_tokens": 900, "completion_tokens": 80, "cost_usd": 0.001},
        "metadata": {"level": "easy"},
    }


def trajectory(number: int) -> dict:
    messages = [
        {"role": "system", "content": "Answer."},
        {"role": "user", "content": f"Where does river {number} rise?"},
    ]
    for turn in range(TURNS):
        function = {"name": "rag_search", "arguments": f'{{"query": "river {number} {turn}"}}'}
        call = {"id": f"call_{turn}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "I look it up.", "tool_calls": [call]})
        messages.append({"role": "tool", "content": f"{number} {turn} {TEXT}", "tool_call_id": f"call_{turn}"})
    messages.append({"role": "assistant", "content": "Black Forest"})
    return {
        "id": f"task-{number:06}#0",
        "task_id": f"task-{number:06}",
        "sample": 0,
        "model": "mock",
        "tools": ["rag:search"],
        "messages": messages,
        "steps": [{"usage": {"calls": 1}, "tools": []}] * TURNS,
        "outcome": "answered",
        "answer": "Black Forest",
    }


def make(directory: Path, count: int) -> None:
    with Run.open(directory, kind="rollout", config={}, stages={}) as run:
        run.write("results.jsonl", (orjson.dumps(result(number)) + b"\n" for number in range(count)))
        run.write("trajectories.jsonl", (orjson.dumps(trajectory(number)) + b"\n" for number in range(count)))


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with the peak of the parent
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def export(directory: Path, out: Path) -> None:
    """Ours: records read, checked and written, and all of it read back."""
    ParquetExporter().export(directory, out)


def bare(directory: Path, out: Path) -> None:
    """Rows of the same columns straight from the JSON of the files, with nothing checked or read back."""
    exporter = ParquetExporter()
    exporter._columns = columns_of(Source(RunReader(directory)))
    schema = exporter._schema()
    names = set(schema.names)
    with (
        (directory / "results.jsonl").open("rb") as results,
        (directory / "trajectories.jsonl").open("rb") as trajectories,
        parquet.ParquetWriter(out, schema, compression="zstd") as writer,
    ):
        while lines := list(islice(zip(results, trajectories, strict=True), 1024)):
            rows = []
            for one, other in lines:
                row = {**orjson.loads(other), **orjson.loads(one)}
                row["metadata"] = ""
                row["score_f1_score"] = row["scores"]["f1_score"]["value"]
                for message in row["messages"]:
                    message["tool_calls"] = [
                        {"id": call["id"], **call["function"]} for call in message.get("tool_calls", ())
                    ]
                rows.append({name: value for name, value in row.items() if name in names})
            writer.write_batch(pyarrow.RecordBatch.from_pylist(rows, schema=schema))


def measure(kind: str, directory: Path, out: Path) -> None:
    """In a process of its own, so that the peak memory is that of the export."""
    before = peak_mb()
    began = time.perf_counter()
    {"export": export, "bare": bare}[kind](directory, out)
    took = time.perf_counter() - began
    rows = parquet.ParquetFile(out).metadata.num_rows
    print(
        f"  {kind}: {rows} rows in {took:.1f} s, {rows / took:.0f} rows/s, "
        f"peak +{peak_mb() - before:.0f} MB, file {out.stat().st_size / 1e6:.0f} MB"
    )


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        for number in (count // 10, count):
            directory = Path(name) / f"run-{number}"
            make(directory, number)
            size = sum(path.stat().st_size for path in directory.glob("*.jsonl")) / 1e6
            print(f"{number} trajectories of {2 * TURNS + 3} messages, {size:.0f} MB")
            for kind in ("bare", "export"):
                out = Path(name) / f"{kind}-{number}.parquet"
                subprocess.run([sys.executable, __file__, f"--{kind}", str(directory), str(out)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] in (["--bare"], ["--export"]):
        measure(sys.argv[1][2:], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
