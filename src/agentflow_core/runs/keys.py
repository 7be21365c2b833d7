"""Name units by what they depend on, and show how two configurations differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

__all__ = ["canonical", "differences", "stage_digest", "unit_key"]

_SHOWN_CHARACTERS = 100


def canonical(value: Any) -> bytes:
    """JSON in one form: keys sorted, no spaces, UTF-8. Integers of any size and lone surrogates are fine."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def stage_digest(stage: str, config: Any, versions: Mapping[str, str]) -> str:
    """The hash of everything that all units of a stage depend on."""
    return hashlib.sha256(canonical([stage, config, versions])).hexdigest()


def unit_key(digest: str, value: Any, sample: int) -> str:
    """The hash of one unit: its stage's digest, its input, its sample."""
    return hashlib.sha256(canonical([digest, value, sample])).hexdigest()


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where two JSON values differ: ``(path, "old -> new")``, key by key, sorted; null is as good as not set."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{path}.{key}" if path else str(key)
            if old.get(key) is None and new.get(key) is None:
                continue
            if key not in old:
                yield inner, f"(not set) -> {_shown(new[key])}"
            elif key not in new:
                yield inner, f"{_shown(old[key])} -> (not set)"
            else:
                yield from differences(old[key], new[key], inner)
    elif _same_length(old, new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{path}[{index}]")
    elif canonical(old) != canonical(new):
        yield path, f"{_shown(old)} -> {_shown(new)}"


def _same_length(old: Any, new: Any) -> bool:
    return _is_list(old) and _is_list(new) and len(old) == len(new)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
