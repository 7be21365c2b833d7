"""Check accepted QA that carry SQL or code: run it again with nothing of AgentFlow, and compare with the stated answer.

It reads the run directory and the data alone: SQL is run by sqlite3, code by a plain Python process in an empty folder
that has the data files in ``data``.

python tests/end_to_end/reruns.py runs/text2sql DATABASE
python tests/end_to_end/reruns.py runs/data-analysis FOLDER
"""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path


def problems(run: Path, data: Path) -> list[str]:
    """What is wrong with the accepted pairs of a run: quotes not at their offsets, other results than stated."""
    nodes = {node["id"]: node for node in _lines(run / "tree.jsonl")}
    found = []
    for qa in _lines(run / "qa.jsonl"):
        for item in (item for step in qa["reasoning_steps"] for item in step["evidence"]):
            text = nodes[item["node"]]["result"]["text"]
            if text[item["start"] : item["end"]] != item["quote"]:
                found.append(f"{qa['id']}: the quote {item['quote'][:60]!r} does not stand at {item['start']}")
        result = _by_sql(qa["extra"]["sql"], data) if data.is_file() else _by_code(qa["extra"]["code"], data)
        if not _is_same(result, qa["answer"]):
            found.append(f"{qa['id']}: {result!r} instead of {qa['answer']!r}: {qa['question']}")
    return found


def _by_sql(query: str, database: Path) -> str:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        rows = connection.execute(query).fetchall()
    finally:
        connection.close()
    return str(rows[0][0]) if len(rows) == 1 and len(rows[0]) == 1 else f"{len(rows)} rows"


def _by_code(code: str, folder: Path) -> str:
    with tempfile.TemporaryDirectory() as workspace:
        (Path(workspace) / "data").symlink_to(folder.resolve())
        ran = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=workspace, capture_output=True, text=True, check=False, timeout=60
        )
    return ran.stdout.strip() if ran.returncode == 0 else ran.stderr.strip()


def _is_same(result: str, answer: str) -> bool:
    try:
        return math.isclose(float(result), float(answer), rel_tol=1e-9)
    except ValueError:
        return result == answer


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]), Path(sys.argv[2]))
    print(*wrong, sep="\n")
    sys.exit(1 if wrong else 0)
