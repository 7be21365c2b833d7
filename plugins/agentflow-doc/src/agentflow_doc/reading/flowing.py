"""Cut a document without pages into pages: at the breaks that it has, and before headings where there is much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from agentflow_doc.records import Block, Page

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BREAK", "flowing_pages"]

#: Stands between blocks where a page ends.
BREAK: Final = Block(kind="break", text="")
#: Characters after which a page without breaks ends, and after which it does before a heading.
_FULL: Final = 3500
_HALF: Final = 1800


def flowing_pages(blocks: Iterable[Block], most: int) -> tuple[list[Page], bool]:
    """The pages, with tables and figures numbered on each; and whether some were left out."""
    held: list[list[Block]] = [[]]
    size = 0
    for block in blocks:
        is_full = size >= _FULL or (block.kind == "heading" and size >= _HALF)
        if (block is BREAK or is_full) and held[-1]:
            held.append([])
            size = 0
        if block is not BREAK:
            held[-1].append(block)
            size += len(block.text)
    pages = [_page(number, blocks) for number, blocks in enumerate(held, 1) if blocks or number == 1]
    return pages[:most], len(pages) > most


def _page(number: int, blocks: list[Block]) -> Page:
    counts = {"table": 0, "figure": 0}
    made = []
    for block in blocks:
        if block.kind in counts:
            counts[block.kind] += 1
            index = counts[block.kind]
            if block.kind == "figure":
                said = f" {block.text}" if block.text else ""
                made.append(evolve(block, index=index, text=f"[figure {index} on page {number}]{said}"))
            else:
                made.append(evolve(block, index=index))
        else:
            made.append(block)
    return Page(number=number, blocks=tuple(made))
