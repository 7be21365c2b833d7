"""What a user says about corpora: the ``backends: {rag: …}`` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from agentflow_core.config import option

__all__ = ["ChunkConfig", "CorpusConfig", "FieldsConfig", "RagConfig"]


@frozen(kw_only=True)
class FieldsConfig:
    """Which fields of a row hold what; of folders of texts only the file counts."""

    id: str = option("id", help="field with the document id; rows without one are named by file and line")
    title: str = option("title", help="field with the title; rows without one are titled by their first words")
    text: str = option("text", help="field with the text: a string, or a list of strings")
    filters: tuple[str, ...] = option((), help="further fields that rag:search can filter by")


@frozen(kw_only=True)
class ChunkConfig:
    """Long documents are searched in overlapping pieces."""

    tokens: int = option(256, help="words of a piece", at_least=16, at_most=100_000)
    overlap: int = option(32, help="words that a piece shares with the one before", at_least=0, at_most=50_000)


@frozen(kw_only=True)
class CorpusConfig:
    """One corpus: where its documents are and how they are searched."""

    path: str = option(help="a file, a folder or a glob: .jsonl .json .csv .parquet .md .txt .html", path=True)
    fields: FieldsConfig = option(FieldsConfig(), help="which fields hold id, title and text")
    chunk: ChunkConfig | None = option(None, help="search long documents in pieces; default: whole documents")
    engine: Literal["tantivy", "whoosh"] = option("tantivy", help="tantivy, or whoosh (pure Python)")
    strict: bool = option(False, help="stop at the first bad line, instead of reporting and leaving it out")


@frozen(kw_only=True)
class RagConfig:
    """The corpora by name, in the order in which they are asked; with none, the bundled corpus ``facts``."""

    corpora: Mapping[str, CorpusConfig] = option(factory=dict, help="corpora by name; the first is the default")
