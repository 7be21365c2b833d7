"""What a page shows, as text: an accessibility tree that is bounded in the page, with references to act on.

A reference such as ``g3e7`` is the seventh element that was referred to in the third document of the session, and
``g3f1e7`` one in the first frame of it. It holds as long as its element is there and is still what it was.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from agentflow_browser.inside import REGISTRY
from agentflow_core.records import ToolResult, clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from playwright.async_api import ElementHandle, Frame, Page

__all__ = ["Changes", "Named", "Refused", "Registries", "Snapshot", "changes", "is_gone", "is_ref"]


_REF: Final = re.compile(r"(?P<prefix>g(?P<generation>\d{1,9})(?:f\d{1,9})?)e(?P<number>\d{1,9})")
#: Elements that a walk looks at, and how deep frames are entered, whatever is asked.
_VISITS: Final = 300_000
_FRAME_DEPTH: Final = 4
_FRAMES: Final = 30
_LEAST_CHARS: Final = 200
_TRIES: Final = 4
_MOST_COMPARED: Final = 1500
_CANDIDATES: Final = 5


class Refused(Exception):
    """A call ends with this failure."""

    def __init__(self, result: ToolResult) -> None:
        super().__init__(result.message)
        self.result = result


@frozen
class Named:
    """What a reference stood for when it was given out."""

    role: str
    name: str


@frozen(kw_only=True)
class Snapshot:
    """Lines, each with its indentation, and what their references stand for."""

    lines: Sequence[str]
    generation: int
    title: str
    elements: int  #: of the page's main document
    refs: Mapping[str, Named] = field(factory=dict, repr=False)
    next: int | None = None  #: the cursor at which it would go on

    @property
    def text(self) -> str:
        """The lines."""
        return "\n".join(self.lines)


@frozen(kw_only=True)
class Changes:
    """What differs between two snapshots."""

    added: Sequence[str]
    removed: Sequence[str]
    text: str


@frozen(kw_only=True)
class _Registry:
    handle: Any  #: a ``JSHandle`` of Playwright, which is imported late
    prefix: str


class Registries:
    """Gives out references for one tab.

    Args:
        page: of the tab.
        next_generation: counts the documents of the session.
    """

    def __init__(self, page: Page, next_generation: Callable[[], int]) -> None:
        self._page = page
        self._next_generation = next_generation
        self._found: dict[Frame, _Registry] = {}
        self._frames = 0
        self._known: dict[str, Named] = {}
        self.generation = 0

    async def snapshot(
        self,
        *,
        chars: int,
        ref: str | None = None,
        depth: int | None = None,
        interactive: bool = False,
        cursor: int = 0,
        match: Mapping[str, Any] | None = None,
    ) -> Snapshot:
        """Walk the page, or the part of it that a reference means.

        Raises:
            Refused: ``stale_ref``.
            playwright.async_api.Error: the page is gone, or does not let itself be read.
        """
        frame, root = self._page.main_frame, 0
        if ref is not None:
            frame, root = self._named(ref)
        options = {"depth": depth, "interactive": interactive, "match": match, "visits": _VISITS}
        walk = _Walk(options=options, chars=chars)
        found = await self._walk(walk, frame, root=root, skip=cursor, indent=0, level=0)
        if found["gone"] and ref is not None:
            await self.refuse(ref)
        self._known.update(walk.refs)
        return Snapshot(
            lines=walk.lines,
            generation=self.generation,
            title=found["title"],
            elements=found["total"],
            refs=walk.refs,
            next=found["next"],
        )

    async def _walk(
        self, walk: _Walk, frame: Frame, *, root: int, skip: int, indent: int, level: int
    ) -> dict[str, Any]:
        found, prefix = await self._evaluate(
            frame, lambda prefix: {**walk.options, "root": root, "skip": skip, "prefix": prefix, "chars": walk.left}
        )
        for number, role, name in found["refs"]:
            walk.refs[f"{prefix}e{number}"] = Named(role, clean_text(name))
        lines = [("  " * (indent + depth)) + "- " + clean_text(line) for depth, line in found["lines"]]
        walk.left -= sum(map(len, lines)) + len(lines)
        at = 0
        for place, depth, number in found["frames"]:
            walk.lines += lines[at:place]
            at = place
            if level < _FRAME_DEPTH and walk.frames < _FRAMES and walk.left >= _LEAST_CHARS:
                walk.frames += 1
                await self._walk_frame(walk, frame, number, indent + depth, level + 1)
        walk.lines += lines[at:]
        return found

    async def _walk_frame(self, walk: _Walk, frame: Frame, number: int, indent: int, level: int) -> None:
        from playwright.async_api import Error

        try:
            element = await self._resolved(frame, number)
            inner = None if element is None else await element.content_frame()
            if inner is not None:
                await self._walk(walk, inner, root=0, skip=0, indent=indent, level=level)
        except Error as error:
            if self._page.is_closed():
                raise
            walk.lines.append("  " * indent + f"- text: this frame cannot be read ({type(error).__name__})")

    async def _evaluate(self, frame: Frame, options: Callable[[str], Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
        """Walk a frame, again where it went to another document meanwhile."""
        from playwright.async_api import Error

        for attempt in range(_TRIES):
            try:
                registry = await self._registry(frame)
                found = await registry.handle.evaluate(
                    "(registry, options) => registry.walk(options)", options(registry.prefix)
                )
            except Error as error:
                self._found.pop(frame, None)
                if attempt == _TRIES - 1 or not is_gone(error):
                    raise
                await frame.wait_for_load_state("domcontentloaded")
            else:
                return found, registry.prefix
        raise AssertionError

    async def _registry(self, frame: Frame) -> _Registry:
        found = self._found.get(frame)
        if found is not None:
            return found
        handle = await frame.evaluate_handle(REGISTRY)
        if frame is self._page.main_frame or frame == self._page.main_frame:
            self.generation = self._next_generation()
            self._found.clear()
            self._known.clear()
            self._frames = 0
            prefix = f"g{self.generation}"
        else:
            self._frames += 1
            prefix = f"g{self.generation}f{self._frames}"
        made = self._found[frame] = _Registry(handle=handle, prefix=prefix)
        return made

    def _named(self, ref: str) -> tuple[Frame, int]:
        """The frame and number of a reference.

        Raises:
            Refused: ``invalid_argument``: it is none; or frame and number 0, which nothing has.
        """
        found = _REF.fullmatch(ref.removeprefix("ref="))
        if found is None:
            raise Refused(
                ToolResult.failure(
                    "invalid_argument",
                    f"{ref[:80]!r} is not a reference",
                    hint="references look like g3e7; browser:snapshot gives them",
                )
            )
        for frame, registry in self._found.items():
            if registry.prefix == found["prefix"]:
                return frame, int(found["number"])
        return self._page.main_frame, 999_999_999

    async def element(self, ref: str) -> ElementHandle:
        """The element of a reference, if it is there and still what it was.

        Raises:
            Refused: ``stale_ref``, with what looks like it now.
        """
        frame, number = self._named(ref)
        found = await self._resolved(frame, number)
        if found is None:
            await self.refuse(ref)
            raise AssertionError
        return found

    async def _resolved(self, frame: Frame, number: int) -> ElementHandle | None:
        from playwright.async_api import Error

        registry = self._found.get(frame)
        if registry is None:
            return None
        try:
            found = await registry.handle.evaluate_handle("(registry, number) => registry.resolve(number)", number)
        except Error as error:
            if not is_gone(error):
                raise
            self._found.pop(frame, None)
            return None
        element: ElementHandle | None = found.as_element()
        return element

    async def describe(self, element: ElementHandle) -> tuple[str, Named]:
        """A reference to an element, and what it is."""
        frame = await element.owner_frame() or self._page.main_frame
        registry = await self._registry(frame)
        told = await registry.handle.evaluate("(registry, element) => registry.described(element)", element)
        ref, named = f"{registry.prefix}e{told['number']}", Named(told["role"], clean_text(told["name"]))
        self._known[ref] = named
        return ref, named

    async def mark(self) -> list[tuple[str, list[int]]]:
        """Draw boxes over all that is referred to and in view; called again, take them away."""
        from playwright.async_api import Error

        shown: list[tuple[str, list[int]]] = []
        for frame, registry in list(self._found.items()):
            try:
                found = await registry.handle.evaluate("(registry, prefix) => registry.mark(prefix)", registry.prefix)
            except Error as error:
                if not is_gone(error):
                    raise
                self._found.pop(frame, None)
            else:
                shown += [(f"{registry.prefix}e{number}", box) for number, *box in found]
        return shown

    async def refuse(self, ref: str) -> None:
        """Say that a reference is stale, and what is most like it in a fresh snapshot.

        Raises:
            Refused: in any case.
        """
        known = self._known.get(ref)
        generation = self.generation
        fresh = await self.snapshot(chars=100_000)
        candidates = _like(known, fresh.refs) if known is not None else []
        was = f" It was {known.role} {known.name!r}." if known is not None else ""
        why = (
            "the page is another one now"
            if fresh.generation != generation or known is None
            else "it is gone or changed"
        )
        shown = "; ".join(f"{each['ref']} {each['role']} {each['name']!r}" for each in candidates)
        raise Refused(
            ToolResult.failure(
                "stale_ref",
                f"the reference {ref} is stale: {why}.{was}",
                hint=f"most like it now: {shown}" if shown else "take a new browser:snapshot and use its references",
                data={"ref": ref, "candidates": candidates, "generation": fresh.generation, "url": self._page.url},
            )
        )


def is_ref(text: str) -> bool:
    """Has it the form of a reference?"""
    return _REF.fullmatch(text) is not None


class _Walk:
    """A snapshot in the making."""

    def __init__(self, *, options: Mapping[str, Any], chars: int) -> None:
        self.options = options
        self.left = chars
        self.frames = 0
        self.lines: list[str] = []
        self.refs: dict[str, Named] = {}


def is_gone(error: Exception) -> bool:
    """Whether Playwright failed since the document went away, and not the page."""
    said = str(error)
    return (
        any(
            part in said
            for part in (
                "context was destroyed",
                "Cannot find context",
                "JSHandle is disposed",
                "disposed",
                "detached",
                "navigat",
            )
        )
        and "crash" not in said.lower()
    )


def _like(known: Named, refs: Mapping[str, Named]) -> list[dict[str, str]]:
    from rapidfuzz.fuzz import ratio

    def score(each: Named) -> float:
        return ratio(known.name.lower(), each.name.lower()) + (40 if each.role == known.role else 0)

    ranked = sorted(refs.items(), key=lambda item: -score(item[1]))
    return [
        {"ref": ref, "role": each.role, "name": each.name} for ref, each in ranked[:_CANDIDATES] if score(each) >= 60
    ]


def changes(before: Sequence[str], after: Sequence[str]) -> Changes:
    """What was added and removed, with a mark before each line: ``+`` or ``-``."""
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    if max(len(old), len(new)) > _MOST_COMPARED:
        marked = [*(f"- {line}" for line in old), *(f"+ {line}" for line in new)]
    else:
        marked = list(_compared(old, new))
    return Changes(
        added=[line[2:] for line in marked if line[0] == "+"],
        removed=[line[2:] for line in marked if line[0] == "-"],
        text="\n".join(marked),
    )


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterable[str]:
    for tag, one, two, three, four in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (f"- {line}" for line in old[one:two])
            yield from (f"+ {line}" for line in new[three:four])
