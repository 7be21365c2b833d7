"""Check the evidence of accepted QA from the run directory alone: plain JSON, nothing of AgentFlow is imported.

python tests/end_to_end/evidence.py runs/hotpotqa-qa
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path


def problems(run: Path) -> list[str]:
    """What is wrong with a run: quotes not at their offsets, too few sources, unsupported answers, calls made twice."""
    nodes = {node["id"]: node for node in _lines(run / "tree.jsonl")}
    calls = [(node["seed_id"], node["tool"], json.dumps(node["params"])) for node in nodes.values() if node["tool"]]
    twice = len(calls) - len(set(calls))
    found = [f"{twice} of {len(calls)} calls stand in their tree already"] if twice > 0.02 * len(calls) else []
    for qa in _lines(run / "qa.jsonl"):
        evidence = [item for step in qa["reasoning_steps"] for item in step["evidence"]]
        for item in evidence:
            text = _text(run, nodes[item["node"]])
            if text[item["start"] : item["end"]] != item["quote"]:
                found.append(f"{qa['id']}: the quote {item['quote'][:60]!r} does not stand at {item['start']}")
        documents = {item["source"]["doc_id"] for item in evidence if "doc_id" in item["source"]}
        if len(documents or {item["node"] for item in evidence}) < 2:
            found.append(f"{qa['id']}: fewer than two documents, or calls where there are none")
        if re.search(rf"(?<!\w){re.escape(qa['answer'].lower())}(?!\w)", qa["question"].lower()):
            found.append(f"{qa['id']}: the question holds the answer")
        if qa["answer_type"] != "yes_no" and not any(
            qa["answer"].lower() in item["quote"].lower() for item in qa["reasoning_steps"][-1]["evidence"]
        ):
            found.append(f"{qa['id']}: the last hop's evidence does not hold the answer")
    return found


def _text(run: Path, node: dict) -> str:
    text = node["result"]["text"]
    if isinstance(text, str):
        return text
    import zstandard  # only where an observation is large enough to be a blob

    sha256 = text["blob"]
    return zstandard.decompress((run / "blobs" / sha256[:2] / sha256[2:]).read_bytes()).decode()


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print(*wrong, sep="\n")
    sys.exit(1 if wrong else 0)
