"""What a document says of its subject, as the rules understand it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.prose import Clause, Kind, base_title, sentences, told_of

if TYPE_CHECKING:
    from agentflow_rag.offline.reading import TextRead

__all__ = ["Profile", "profile"]


@frozen(kw_only=True)
class Profile:
    """A document as the rules understand it."""

    name: str
    doc_id: str
    node: str
    text: str
    kind: Kind | None
    clauses: tuple[Clause, ...]


def profile(read: TextRead) -> Profile:
    """What the document says of its subject."""
    return _profile(read.title, read.doc_id, read.node, read.text)


@lru_cache(maxsize=512)
def _profile(title: str, doc_id: str, node: str, text: str) -> Profile:
    name = base_title(title)
    told = told_of(name, sentences(text))
    return Profile(name=name, doc_id=doc_id, node=node, text=text, kind=told.kind, clauses=told.clauses)
