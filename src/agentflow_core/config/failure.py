"""What stands for a value that could not be built; its problem is noted already."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["FAILED"]


class _Failure(Enum):
    FAILED = "failed"


FAILED: Final = _Failure.FAILED
