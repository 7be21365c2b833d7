"""What a provider is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from agentflow_websearch.found import Asked, Page, Results

__all__ = ["Format", "SearchProvider", "VisitProvider"]

Format = Literal["markdown", "text"]


class SearchProvider(Protocol):
    """Finds pages."""

    @property
    def name(self) -> str:
        """What results say, such as ``serper``."""
        ...

    async def search(self, asked: Asked) -> Results:
        """The results of one search.

        Raises:
            WebFailure: there are none to be had now.
        """
        ...


class VisitProvider(Protocol):
    """Reads pages."""

    @property
    def name(self) -> str:
        """What results say, such as ``jina``."""
        ...

    async def visit(self, url: str, format: Format) -> Page:
        """The text of one page.

        Raises:
            WebFailure: it cannot be read now.
        """
        ...
