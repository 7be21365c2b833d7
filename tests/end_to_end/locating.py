"""Check the evidence of accepted QA over PDF files: open each file with pdfplumber and find the quote in its box.

It reads the run directory and the files alone; nothing of AgentFlow is imported.

python tests/end_to_end/locating.py runs/mm-doc examples/mm-doc/reports
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pdfplumber

_AROUND = 2  # points
_WORD = re.compile(r"\w+")


def problems(run: Path, folder: Path) -> list[str]:
    """What is wrong with the accepted pairs of a run: quotes not at their offsets or not in their boxes, too few pages."""
    nodes = {node["id"]: node for node in _lines(run / "tree.jsonl")}
    found = []
    files: dict[str, pdfplumber.PDF] = {}
    try:
        for qa in _lines(run / "qa.jsonl"):
            evidence = [item for step in qa["reasoning_steps"] for item in step["evidence"]]
            places = {(item["source"].get("doc"), item["source"].get("page")) for item in evidence}
            if len(places) < 2:
                found.append(f"{qa['id']}: the evidence comes from {len(places)} page(s)")
            for item in evidence:
                what = f"{qa['id']}: the quote {item['quote'][:60]!r}"
                if nodes[item["node"]]["result"]["text"][item["start"] : item["end"]] != item["quote"]:
                    found.append(f"{what} does not stand at {item['start']}")
                source = item["source"]
                if source["doc"] not in files:
                    files[source["doc"]] = pdfplumber.open(folder / source["doc"])
                page = files[source["doc"]].pages[source["page"] - 1]
                missing = _words(item["quote"]) - _words(_text(page, source["box"]))
                if missing:
                    found.append(f"{what} lacks {sorted(missing)} on page {source['page']} of {source['doc']}")
    finally:
        for file in files.values():
            file.close()
    return found


def _text(page: pdfplumber.page.Page, box: list[float]) -> str:
    left, top, right, bottom = box
    if (right - left) * (bottom - top) > 0.5 * page.width * page.height:
        return ""  # so large a box locates nothing
    cut = (left - _AROUND, top - _AROUND, right + _AROUND, bottom + _AROUND)
    return page.crop(cut, strict=False).extract_text()


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text))


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    wrong = problems(*map(Path, sys.argv[1:3]))
    print(*wrong, sep="\n")
    sys.exit(1 if wrong else 0)
