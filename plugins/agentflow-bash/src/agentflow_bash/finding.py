"""List, find and search the files of a session, following no links; it blocks, so threads use it."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from time import monotonic
from typing import TYPE_CHECKING, Final

import regex
from attrs import frozen

from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentflow_core.sandbox.beneath import Beneath

__all__ = ["Entry", "Match", "glob", "grep", "listed", "pattern_of"]

#: Seconds of the processor that one search may take, and what it looks at at most.
SEARCH_S: Final = 4.0
_MOST_ENTRIES: Final = 200_000
_LARGEST_FILE: Final = 16 * 1024 * 1024
_LONGEST_LINE: Final = 2000
_DEEPEST: Final = 100


@frozen(kw_only=True)
class Entry:
    """One name in a folder."""

    path: str
    kind: str  #: file, folder, link or other
    size: int = 0
    target: str = ""  #: of a link


@frozen(kw_only=True)
class Match:
    """A line in which a pattern was found, or one beside it."""

    path: str
    line: int
    text: str
    is_match: bool = True


def listed(root: Beneath, path: str, depth: int, hidden: bool, limit: int) -> tuple[list[Entry], bool]:
    """The entries of a folder, sorted, folders before what is in them; and whether there are more."""
    entries: list[Entry] = []
    for entry in _walk(root, path, depth, hidden):
        if len(entries) == limit:
            return entries, True
        entries.append(entry)
    return entries, False


def glob(root: Beneath, pattern: str, path: str, limit: int) -> tuple[list[str], bool]:
    """The files and folders whose path below ``path`` is that of the pattern, sorted; and whether there are more."""
    wanted = re.compile(_translated(pattern))
    hidden = any(part.startswith(".") for part in pattern.split("/"))
    base = "" if root.relative(path) == "." else root.relative(path) + "/"
    found: list[str] = []
    for entry in _walk(root, path, _DEEPEST, hidden):
        if wanted.fullmatch(entry.path.removeprefix(base)):
            if len(found) == limit:
                return found, True
            found.append(entry.path)
    return found, False


def _translated(pattern: str) -> str:
    """A glob as a regular expression: ``*`` within a name, ``**`` over folders, ``?``, ``[…]``, ``{a,b}``."""
    parts = []
    at = 0
    braces = 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**/", at):
            parts.append("(?:[^/]+/)*")
            at += 3
            continue
        if pattern.startswith("**", at):
            parts.append(".*")
            at += 2
            continue
        at += 1
        if char == "*":
            parts.append("[^/]*")
        elif char == "?":
            parts.append("[^/]")
        elif char == "[" and (end := pattern.find("]", at + 1)) > 0:
            inside = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[")
            inside = "^" + inside[1:] if inside[0] in "!^" else inside
            parts.append(f"(?!/)[{inside}]")
            at = end + 1
        elif char == "{" and "}" in pattern[at:]:
            braces += 1
            parts.append("(?:")
        elif char == "}" and braces:
            braces -= 1
            parts.append(")")
        elif char == "," and braces:
            parts.append("|")
        else:
            parts.append(re.escape(char))
    try:
        re.compile("".join(parts))
    except re.error as error:
        raise SandboxError(f"pattern: {pattern[:200]!r} is no glob: {error}", code="invalid_argument") from error
    return "".join(parts)


def pattern_of(text: str, *, ignore_case: bool = False, name: str = "pattern") -> regex.Pattern[str]:
    """The compiled expression; raises `SandboxError` where it is none."""
    try:
        return regex.compile(text, (regex.IGNORECASE if ignore_case else 0) | regex.VERSION0)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise SandboxError(
            f"{name}: {text[:200]!r} is no regular expression: {error}", code="invalid_argument"
        ) from error


def grep(
    root: Beneath, wanted: regex.Pattern[str], path: str, include: str | None, context: int, limit: int
) -> tuple[list[Match], int, bool]:
    """Matching lines of the files below ``path``, in order; how many files were searched; whether there are more."""
    until = monotonic() + SEARCH_S
    chosen = re.compile(_translated(include if "/" in include else f"**/{include}")) if include else None
    matches: list[Match] = []
    searched = found = 0
    is_file = root.kind(path) == "file"
    paths: Iterator[str]
    if is_file:
        paths = iter([root.relative(path)])
    else:
        paths = (entry.path for entry in _walk(root, path, _DEEPEST, True) if entry.kind == "file")
    for each in paths:
        if chosen is not None and not chosen.fullmatch(each):
            continue
        try:
            with root.opened(each) as fd, open(os.dup(fd), "rb") as file:
                data = file.read(_LARGEST_FILE)
        except SandboxError:  # it vanished, or became something else
            continue
        if b"\0" in data[:8192]:
            continue
        searched += 1
        lines = data.decode("utf-8", "replace").split("\n")
        shown: dict[int, bool] = {}
        for number, line in enumerate(lines):
            left = until - monotonic()
            if left <= 0:
                raise _too_slow()
            try:
                hit = wanted.search(line[:100_000], timeout=left, concurrent=True)
            except TimeoutError:
                raise _too_slow() from None
            if hit is None:
                continue
            found += 1
            if found > limit:
                return _shown(matches, each, lines, shown), searched, True
            for beside in range(max(0, number - context), min(len(lines), number + context + 1)):
                shown.setdefault(beside, False)
            shown[number] = True
        _shown(matches, each, lines, shown)
    return matches, searched, False


def _shown(matches: list[Match], path: str, lines: list[str], shown: dict[int, bool]) -> list[Match]:
    for number in sorted(shown):
        text = lines[number].rstrip("\r")[:_LONGEST_LINE]
        matches.append(Match(path=path, line=number + 1, text=text, is_match=shown[number]))
    return matches


def _too_slow() -> SandboxError:
    return SandboxError(
        f"the search took more than {SEARCH_S:g} s", code="timeout", hint="make the pattern simpler, or name a folder"
    )


def _walk(root: Beneath, path: str, depth: int, hidden: bool) -> Iterator[Entry]:
    """What stands below a folder: the entries of one in the order of names, then those of the folders among them."""
    base = root.relative(path)
    pending = [("" if base == "." else base, 1)]
    seen = 0
    while pending:
        place, level = pending.pop()
        entries = []
        try:
            with root.folder(place or ".") as fd:
                for name in sorted(os.listdir(fd)):
                    seen += 1
                    if (hidden or not name.startswith(".")) and (
                        entry := _entry(fd, name, posixpath.join(place, name))
                    ):
                        entries.append(entry)
        except SandboxError:
            if level == 1:
                raise
            continue  # it vanished, or became a link that leads out
        if seen > _MOST_ENTRIES:
            raise SandboxError(f"there are more than {_MOST_ENTRIES} files", code="unsupported", hint="name a folder")
        if level < depth:
            pending += [(entry.path, level + 1) for entry in reversed(entries) if entry.kind == "folder"]
        yield from entries


def _entry(fd: int, name: str, path: str) -> Entry | None:
    try:
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            return Entry(path=path, kind="link", target=os.readlink(name, dir_fd=fd))
    except OSError:  # it vanished, or its name is not UTF-8
        return None
    if stat.S_ISDIR(info.st_mode):
        return Entry(path=path, kind="folder")
    return Entry(path=path, kind="file" if stat.S_ISREG(info.st_mode) else "other", size=info.st_size)
