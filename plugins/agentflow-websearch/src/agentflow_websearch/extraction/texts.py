"""The text, title, date and links of an HTML page, by trafilatura. Leans on nothing of AgentFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import trafilatura
from trafilatura import html2txt

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["extract_page"]

_TITLES = ("//meta[@property='og:title']/@content", "//title//text()", "//h1[1]//text()")
_DATES = (
    "//meta[@property='article:published_time']/@content",
    "//meta[@itemprop='datePublished']/@content",
    "//meta[@name='date']/@content",
    "//time[@datetime]/@datetime",
)
#: Parts of a page that lead around the site, not on from what it says.
_AROUND = ("nav", "header", "footer", "aside", "form")


def extract_page(html: str, url: str, *, format: str, max_chars: int, max_links: int) -> dict[str, Any]:
    """The page as plain values; an empty text where there is none.

    Args:
        html: the page's characters.
        url: where it is, for the links.
        format: ``markdown`` or ``text``.
        max_chars: of the text.
        max_links: how many links.
    """
    tree = trafilatura.load_html(html)
    if tree is None:  # a piece of a page, which trafilatura does not take for HTML
        html = f"<html><body>{html}</body></html>"
        tree = trafilatura.load_html(html)
    if tree is None:
        return {"title": "", "date": None, "text": "", "links": []}
    title = _first(tree, _TITLES[:2])
    base = _first(tree, ("//base/@href",))
    links = _links(tree, urljoin(url, base) if base else url, max_links)
    text = trafilatura.extract(
        tree,
        url=url,
        output_format="markdown" if format == "markdown" else "txt",
        include_comments=False,
        include_tables=True,
        with_metadata=False,
    )
    if not text:
        text = html2txt(html) or ""
    return {
        "title": title or _first(tree, _TITLES[2:]),
        "date": _first(tree, _DATES) or None,
        "text": text[:max_chars],
        "links": links,
    }


def _first(tree: Any, paths: Iterable[str]) -> str:
    for path in paths:
        found = " ".join("".join(map(str, tree.xpath(path)[:20])).split())
        if found:
            return found[:400]
    return ""


def _links(tree: Any, base: str, most: int) -> list[tuple[str, str]]:
    """The links of the page in their order, each target once; those that lead around the site come last."""
    inside: dict[str, str] = {}
    around: dict[str, str] = {}
    here = base.partition("#")[0]
    leading_around = {anchor for part in tree.iter(*_AROUND) for anchor in part.iter("a")}
    for anchor in tree.iter("a"):
        target = anchor.get("href")
        text = " ".join(anchor.text_content().split())
        if not target or not text:
            continue
        try:
            url = urljoin(base, target.strip()).partition("#")[0]
        except ValueError:
            continue
        if not url.startswith(("http://", "https://")) or url == here or any(char.isspace() for char in url):
            continue
        found = around if anchor in leading_around else inside
        found.setdefault(url, text[:200])
        if len(inside) >= most:
            break
    rows = {**inside, **{url: text for url, text in around.items() if url not in inside}}
    return [(text, url) for url, text in rows.items()][:most]
