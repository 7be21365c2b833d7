"""Find the files of a corpus and read their documents, bad lines reported and counted."""

from __future__ import annotations

import hashlib
from glob import glob, has_magic
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.errors import DataError, Problem
from agentflow_rag.documents import Document, ReadReport, make_document
from agentflow_rag.readers import READERS, TEXT_FILES, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agentflow_rag.config import CorpusConfig, FieldsConfig, RagConfig

__all__ = ["CorpusFile", "configured", "corpus_files", "hash_files", "read_documents"]

BUNDLED = "facts"


@frozen(kw_only=True)
class CorpusFile:
    """A file of a corpus and its name within it, which does not depend on where the corpus lies."""

    path: Path
    name: str


def configured(config: RagConfig) -> Mapping[str, CorpusConfig]:
    """The corpora to offer, by name: the configured ones, else the bundled one."""
    if config.corpora:
        return config.corpora
    from agentflow_rag.config import CorpusConfig

    return {BUNDLED: CorpusConfig(path=str(package_files("agentflow_rag").joinpath("data", "facts.jsonl")))}


def corpus_files(path: str) -> tuple[CorpusFile, ...]:
    """The readable files of a file, folder or glob, sorted by name.

    Raises:
        DataError: there is no such file, or none of a kind that can be read.
    """
    root = Path(path)
    kinds = " ".join(sorted(READERS))
    if root.is_file():
        if root.suffix.lower() not in READERS:
            raise DataError(f"{root}: not a kind of file that can be read", hint=f"there is: {kinds}")
        return (CorpusFile(path=root, name=root.name if root.suffix.lower() in TEXT_FILES else root.stem),)
    if root.is_dir():
        found = sorted(item for item in root.rglob("*") if item.is_file())
    elif has_magic(path):
        found = sorted(item for item in map(Path, glob(path, recursive=True)) if item.is_file())
        root = Path(*_fixed_parts(root))
    else:
        raise DataError(f"{path}: no such file or folder", hint="a corpus needs path: a file, a folder or a glob")
    chosen = tuple(
        CorpusFile(path=item, name=item.relative_to(root).as_posix())
        for item in found
        if item.suffix.lower() in READERS and not any(part.startswith(".") for part in item.relative_to(root).parts)
    )
    if not chosen:
        raise DataError(f"{path}: no file in it can be read", hint=f"a corpus is made of: {kinds}")
    return chosen


def _fixed_parts(pattern: Path) -> list[str]:
    fixed: list[str] = []
    for part in pattern.parts[:-1]:
        if has_magic(part):
            break
        fixed.append(part)
    return fixed


def hash_files(files: tuple[CorpusFile, ...]) -> str:
    """A digest of the names and the bytes of the files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode("utf-8", "surrogateescape") + b"\0")
        try:
            with file.path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise DataError(f"{file.path}: {error.strerror or error}") from error
    return digest.hexdigest()


def read_documents(files: tuple[CorpusFile, ...], fields: FieldsConfig, report: ReadReport) -> Iterator[Document]:
    """The documents of the files in order. Bad rows go to the report; duplicates are the caller's to find.

    Raises:
        DataError: a file cannot be read at all, or a row is bad and the report is strict.
    """
    for file in files:
        is_text = file.path.suffix.lower() in TEXT_FILES
        for row in read_rows(file.path, file.name):
            if isinstance(row, Problem):
                report.skip(row)
                continue
            try:
                yield make_document(
                    row,
                    id_field="id" if is_text else fields.id,
                    title_field="title" if is_text else fields.title,
                    text_field="text" if is_text else fields.text,
                    filters=() if is_text else fields.filters,
                )
            except ValueError as error:
                report.skip(Problem(str(error), file=row.file, line=row.line))
