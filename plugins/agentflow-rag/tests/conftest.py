"""What the tests of agentflow-rag share: small corpora and engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_rag.builds import Saved, prepare
from agentflow_rag.config import CorpusConfig
from agentflow_rag.search import OpenCorpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXTS = {
    "ulm": ("Ulm", "Ulm is a city in southern Germany on the Danube. Albert Einstein was born in Ulm in 1879."),
    "vienna": (
        "Vienna",
        "Vienna is the capital of Austria and lies on the Danube. The Lord of the Rings was read there.",
    ),
    "who": ("The Who", "The Who were formed in London in 1964."),
    "danube": ("Danube", "The Danube is a river that rises in the Black Forest and flows to the Black Sea."),
    "perez": ("Sergio Pérez", "Sergio Pérez is a racing driver from Guadalajara in México."),
}


def no_tick(doing: str, documents: int) -> None:
    """A build that nobody watches."""


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[Any], name: str = "corpus.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Saved]:
    def run(path: Path, **settings: Any) -> Saved:
        return prepare("test", CorpusConfig(path=str(path), **settings), tmp_path / "state", no_tick)

    return run


@pytest.fixture
def open_corpus(tmp_path: Path) -> Iterator[Callable[..., OpenCorpus]]:
    opened: list[OpenCorpus] = []

    def run(path: Path, **settings: Any) -> OpenCorpus:
        config = CorpusConfig(path=str(path), **settings)
        opened.append(OpenCorpus("test", config, prepare("test", config, tmp_path / "state", no_tick)))
        return opened[-1]

    yield run
    for corpus in opened:
        corpus.close()


@pytest.fixture(params=["tantivy", "whoosh"])
def engine(request: pytest.FixtureRequest, needed: Callable[[str], object]) -> str:
    """Each engine: one suite runs over all of them."""
    needed(request.param)
    return str(request.param)


@pytest.fixture
def texts(write_jsonl: Callable[..., Path]) -> Path:
    return write_jsonl([{"id": key, "title": title, "text": text} for key, (title, text) in TEXTS.items()])


@pytest.fixture
def small(texts: Path, engine: str, open_corpus: Callable[..., OpenCorpus]) -> OpenCorpus:
    return open_corpus(texts, engine=engine)
