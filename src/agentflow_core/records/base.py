"""The base of every record: frozen, and it keeps the fields that a later version added."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

__all__ = ["Record"]


@frozen(kw_only=True)
class Record:
    """What records share. ``unknown`` holds fields this version does not know; they are written back as they came."""

    unknown: Mapping[str, Any] = field(factory=dict, repr=False, metadata={"unknown": True})
