"""Reduce a tool call to a canonical key, so that calls that mean the same are known as repeats before they run."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["action_key", "canonical_params", "canonical_text", "canonical_url", "normalize_quotes", "param_texts"]

_URL = re.compile(r"(?:https?|ftp|wss?)://[^\s/?#]\S*", re.IGNORECASE)
_PORTS = {"http": "80", "https": "443", "ftp": "21", "ws": "80", "wss": "443"}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`"
_SPACE_UNQUOTED = re.compile(rf"(?P<kept>{_QUOTED})|\s+")
_SQL_NAMES = frozenset({"sql", "query"})
_SQL = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*"
    r"(?:select\b.*\bfrom\b|select\s+[\w'\"(*-]|with\s+\w+.*\bas\s*\(|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b"
    r"|(?:create|alter|drop)\s+(?:table|view|index)\b|explain\s+\w|pragma\s+\w|values\s*\()",
    re.IGNORECASE | re.DOTALL,
)
_SQL_PIECE = re.compile(rf"(?P<kept>{_QUOTED})|(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)
_SQL_AROUND = re.compile(rf"(?P<kept>{_QUOTED})| ?(?P<mark>[,()=<>;]) ?")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MISSING = object()


def action_key(tool: str, params: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> str:
    """The canonical form of a call: equal for calls that differ only in form, such as ``rag:search {"query":"x"}``.

    Args:
        tool: the tool's native name.
        params: what it is called with.
        schema: the JSON Schema of the parameters; what equals its ``default`` is left out.
    """
    canonical = canonical_params(params, schema)
    return f"{tool} {json.dumps(canonical, sort_keys=True, ensure_ascii=False, separators=(',', ':'))}"


def canonical_params(params: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``params`` with every value in canonical form, those that equal the schema's defaults left out, keys sorted.

    Strings are NFKC; a string on one line has its white space collapsed outside quotes, one on several lines only
    loses trailing space and outer blank lines (indentation means something in code); URLs are normalized
    (`canonical_url`); a parameter named ``sql`` or ``query`` that reads as SQL loses comments and superfluous space.
    Integral floats are integers; a string is a number where the schema asks for one. Lists keep their order.
    """
    properties = _mapping(_mapping(schema).get("properties"))
    canonical: dict[str, Any] = {}
    for name, value in sorted((str(key), value) for key, value in params.items()):
        part = _mapping(properties.get(name))
        form = _canonical(value, part, name)
        default = part.get("default", _MISSING)
        if default is _MISSING or not _same(form, _canonical(default, part, name)):
            canonical[name] = form
    return canonical


def _canonical(value: Any, schema: Mapping[str, Any], name: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        if (
            _types(schema) & {"integer", "number"}
            and "string" not in _types(schema)
            and _NUMBER.fullmatch(value.strip())
        ):
            return _number(_parsed(value.strip()))
        return _sql(value) if name in _SQL_NAMES and _SQL.match(value) else canonical_text(value)
    if isinstance(value, Mapping):
        return canonical_params(value, schema)
    if isinstance(value, list | tuple):
        items = _mapping(schema.get("items"))
        return [_canonical(item, items, name) for item in value]
    return canonical_text(str(value))


def _types(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types that a schema names: one, several, or none."""
    named = schema.get("type")
    return {named} if isinstance(named, str) else set(named or ())


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _parsed(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdigit() and len(text) < 4000 else float(text)


def _number(value: float) -> int | float | str:
    if isinstance(value, int):
        return value
    if value - value != 0:  # infinite, or not a number
        return str(value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: ``True`` is not ``1``."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def canonical_text(text: str) -> str:
    """A string in the form that `canonical_params` gives it."""
    text = unicodedata.normalize("NFKC", text)
    stripped = text.strip()
    if _URL.fullmatch(stripped):
        return canonical_url(stripped)
    if "\n" not in stripped and "\r" not in stripped:
        return _SPACE_UNQUOTED.sub(_kept_or_space, stripped)
    lines = [line.rstrip() for line in text.splitlines()]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return "\n".join(lines)


def _kept_or_space(found: re.Match[str]) -> str:
    return found["kept"] or " "


def _sql(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    text = _SQL_PIECE.sub(_kept_or_space, text).strip()
    text = _SQL_AROUND.sub(lambda found: found["kept"] or found["mark"], text)
    return text.rstrip("; ")


def canonical_url(url: str) -> str:
    """A URL in canonical form; one that cannot be read is returned as it is.

    Scheme and host are lower case, the default port, the fragment and trailing slashes of the path are dropped,
    query parameters are sorted (repeats keep their order), escapes of unreserved characters are resolved.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    scheme = parts.scheme.lower()
    user, at, _ = parts.netloc.rpartition("@")
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    shown_port = "" if port is None or str(port) == _PORTS.get(scheme) else f":{port}"
    query = "&".join(sorted(filter(None, _unescaped(parts.query).split("&")), key=lambda pair: pair.partition("=")[0]))
    path = _unescaped(parts.path).rstrip("/")
    return urlunsplit((scheme, f"{user}{at}{host.rstrip('.')}{shown_port}", path, query, ""))


def _unescaped(text: str) -> str:
    def resolve(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character in _UNRESERVED else found[0].upper()

    return _ESCAPE.sub(resolve, text)


def normalize_quotes(text: str) -> str:
    """Typographic quotation marks and dashes as their ASCII forms."""
    return text if text.isascii() else text.translate(_TYPOGRAPHY)


_TYPOGRAPHY = {
    **dict.fromkeys(map(ord, "‘’‚‛′`´ʼ＇‹›"), "'"),
    **dict.fromkeys(map(ord, "“”„‟″«»＂❝❞〝〞"), '"'),
    **dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-"),
}


def param_texts(params: Any) -> Iterator[str]:
    """The values of a call's parameters as texts, those of lists and objects one by one; true, false and null left out."""
    if isinstance(params, Mapping):
        for item in params.values():
            yield from param_texts(item)
    elif isinstance(params, list | tuple):
        for item in params:
            yield from param_texts(item)
    elif params is not None and not isinstance(params, bool):
        yield str(params)
