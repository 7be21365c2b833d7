"""Find the documents that a configuration names."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from agentflow_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["KINDS", "Document", "find_documents", "sample"]

#: What a file is, by the ending of its name.
KINDS: Final = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".gif", ".bmp"), "image"),
}
_MAGIC: Final = frozenset("*?[")


@frozen(kw_only=True)
class Document:
    """A file that can be asked for, and the name that it is asked for by."""

    name: str
    path: Path
    kind: str


def sample() -> str:
    """The folder with the document that comes with the plugin."""
    return str(Path(__file__).parent / "data")


def find_documents(patterns: Sequence[str]) -> tuple[Document, ...]:
    """The documents of folders, files and patterns, sorted by name; a name is the path below the folder.

    Hidden files are left out, and so are links that lead out of a folder. Where two documents would have one name,
    folders above are added to it.

    Raises:
        DataError: a pattern finds nothing, or a named file is of no kind that can be read.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        base, files = _matched(pattern)
        for path in files:
            found.setdefault(path.resolve(), path.relative_to(base) if path.is_relative_to(base) else Path(path.name))
    names: dict[Path, str] = {path: name.as_posix() for path, name in found.items()}
    taken = {name: [path for path, other in names.items() if other == name] for name in set(names.values())}
    documents = []
    for path, name in names.items():
        same = taken[name]
        full = _told_apart(path, name, same) if len(same) > 1 else name
        documents.append(Document(name=full, path=path, kind=KINDS[path.suffix.lower()]))
    return tuple(sorted(documents, key=lambda document: document.name))


def _told_apart(path: Path, name: str, same: Sequence[Path]) -> str:
    depth = len(Path(name).parts)
    while depth < len(path.parts):
        depth += 1
        endings = {one.parts[-depth:] for one in same}
        if len(endings) == len(same):
            break
    return Path(*path.parts[-depth:]).as_posix().lstrip("/")


def _matched(pattern: str) -> tuple[Path, list[Path]]:
    """The folder that names are told from, and the files."""
    path = Path(pattern)
    if path.is_dir():
        files = [file for file in _walk(path) if file.suffix.lower() in KINDS]
        if not files:
            raise DataError(f"no documents in the folder {path}", hint=f"it may hold {', '.join(KINDS)}")
        return path, files
    if path.is_file():
        if path.suffix.lower() not in KINDS:
            raise DataError(f"{path} is no document that can be read", hint=f"there is {', '.join(KINDS)}")
        return path.parent, [path]
    if not _MAGIC & set(pattern):
        raise DataError(f"no such file or folder: {path}", hint="see documents in the configuration of doc")
    matched = [Path(one) for one in sorted(glob.glob(pattern, recursive=True))]
    files = [one for one in matched if one.is_file() and one.suffix.lower() in KINDS]
    if not files:
        raise DataError(f"no documents match {pattern}", hint=f"they may end in {', '.join(KINDS)}")
    fixed = []
    for part in path.parts:
        if _MAGIC & set(part):
            break
        fixed.append(part)
    return Path(*fixed), files


def _walk(folder: Path) -> Iterator[Path]:
    inside = folder.resolve()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "~$")) for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and path.resolve().is_relative_to(inside):
            yield path
