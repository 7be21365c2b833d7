"""Pages that are nothing but the way to another one: ``<meta http-equiv="refresh" content="0; url=/new">``."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

__all__ = ["refreshed_to"]

_LOOKED_AT: Final = 16_384
#: A page that stays longer than this is there to be read.
_STAYS_S: Final = 5.0
#: What is only for readers without scripts sends them away from the text more often than to it.
_HIDDEN: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(noscript|script|style|template)\b.*?(?:</\1|\Z)", re.DOTALL | re.IGNORECASE
)
_META: Final = re.compile(r"<meta\b([^>]{0,2000})>", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"([a-z-]{1,40})\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_CONTENT: Final = re.compile(r"\s*(\d{1,6}(?:\.\d{0,6})?)\s*[;,\s]\s*(?:url\s*=\s*)?+(.*)", re.DOTALL | re.IGNORECASE)


def refreshed_to(html: bytes) -> str | None:
    """The address, as it stands there, to which a page sends its readers at once or after some seconds; else None.

    As the HTML standard has it (shared declarative refresh steps), but for pages that stay for long.
    """
    text = html[:_LOOKED_AT].decode("utf-8", "replace")
    for tag in _META.finditer(_HIDDEN.sub(" ", text)):
        said = {name.lower(): unescape(one or two or bare) for name, one, two, bare in _ATTRIBUTE.findall(tag[1])}
        if said.get("http-equiv", "").strip().lower() != "refresh":
            continue
        content = _CONTENT.fullmatch(said.get("content", ""))
        if content is None or float(content[1]) > _STAYS_S:
            return None
        return content[2].strip().strip("\"'").strip() or None
    return None
