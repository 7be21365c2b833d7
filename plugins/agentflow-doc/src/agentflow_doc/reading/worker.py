"""The process that reads files: one request a line on stdin, one answer a line on stdout, with bytes behind it.

It takes no more memory than it is told to, ends with the process that started it, and never evaluates anything of a file.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from attrs import asdict

from agentflow_doc.reading.base import Settings
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.reading.formats import open_reader
from agentflow_doc.records import Head, Page
from agentflow_doc.store import write_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentflow_doc.reading.base import Picture, Reader

__all__ = ["main"]

_PR_SET_PDEATHSIG: Final = 1


class _Open:
    """The file that was asked for last stays open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key: tuple[Any, ...] = ()
        self._reader: Reader | None = None

    def reader(self, path: str, kind: str) -> Reader:
        key: tuple[Any, ...] = ()
        with suppress(OSError):
            told = Path(path).stat()
            key = (path, kind, told.st_size, told.st_mtime_ns, told.st_ino)
        if self._reader is None or key != self._key or not key:
            self.close()
            self._reader = open_reader(Path(path), kind, self._settings)
            self._key = key
        return self._reader

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def _parse(held: _Open, request: dict[str, Any]) -> dict[str, Any]:
    reader = held.reader(request["path"], request["kind"])
    pages: list[Page] = list(reader.read())
    head = Head(
        title=reader.title,
        format=request["kind"],
        pages=len(pages),
        sections=reader.sections(pages),
        notes=(*reader.notes, *_notes(pages)),
    )
    into = Path(request["into"])
    write_store(into, head, _released(pages))
    return {}


def _released(pages: list[Page]) -> Iterator[Page]:
    """The pages, forgotten one after the other."""
    pages.reverse()
    while pages:
        yield pages.pop()


def _notes(pages: list[Page]) -> list[str]:
    lacking = [
        page for page in pages if page.is_scan and page.lacks and not any(b.kind != "figure" for b in page.blocks)
    ]
    if not lacking:
        return []
    numbers = ", ".join(str(page.number) for page in lacking[:10]) + (", …" if len(lacking) > 10 else "")
    return [f"no text on {'page' if len(lacking) == 1 else 'pages'} {numbers}: {lacking[0].lacks}"]


def _pages(held: _Open, request: dict[str, Any]) -> dict[str, Any]:
    reader = held.reader(request["path"], request["kind"])
    return {"pages": [reader.page(number).to_json() for number in request["pages"]]}


def _render(held: _Open, request: dict[str, Any]) -> dict[str, Any]:
    reader = held.reader(request["path"], request["kind"])
    region = request.get("region")
    box = None if region is None else (region[0], region[1], region[2], region[3])
    return _shown(reader.render(request["page"], box, request["dpi"]))


def _picture(held: _Open, request: dict[str, Any]) -> dict[str, Any]:
    return _shown(held.reader(request["path"], request["kind"]).picture(request["name"]))


def _shown(picture: Picture) -> dict[str, Any]:
    return asdict(picture)


_OPERATIONS: Final[dict[str, Callable[[_Open, dict[str, Any]], dict[str, Any]]]] = {
    "parse": _parse,
    "pages": _pages,
    "render": _render,
    "picture": _picture,
}


def _answer(held: _Open, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    try:
        told = _OPERATIONS[request["op"]](held, request)
    except Unreadable as error:
        held.close()
        failure = {"code": error.code, "reason": error.reason, "message": error.message, "hint": error.hint}
        return {"failure": failure}, b""
    except MemoryError:
        return {"failure": _too_much(), "ends": True}, b""
    except Exception as error:  # noqa: BLE001 - hostile files make the libraries raise anything
        held.close()
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        failure = {"code": "unsupported", "reason": "broken", "message": f"it cannot be read: {said}"[:300], "hint": ""}
        return {"failure": failure}, b""
    data = told.pop("data", b"")
    return {"told": told, "bytes": len(data)}, data


def _too_much() -> dict[str, str]:
    return {
        "code": "memory_limit",
        "reason": "memory",
        "message": "reading it takes more memory than allowed",
        "hint": "limits.memory_mb may allow more",
    }


def _bound(memory_bytes: int) -> None:
    """Take no more than this, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes
        import resource

        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(settings: Settings, requests: BinaryIO, answers: BinaryIO) -> None:
    held = _Open(settings)
    for line in requests:
        head, data = _answer(held, json.loads(line))
        answers.write(json.dumps(head).encode() + b"\n" + data)
        answers.flush()
        if head.get("ends"):
            break
    held.close()


def main() -> None:
    """Serve until stdin ends. The first line are the settings."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    settings = Settings.from_json(json.loads(sys.stdin.buffer.readline()))
    _bound(settings.memory_bytes)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    _serve(settings, sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
