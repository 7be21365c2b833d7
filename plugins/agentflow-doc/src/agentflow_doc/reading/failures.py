"""Why a document cannot be read."""

from __future__ import annotations

__all__ = ["Unreadable"]


class Unreadable(Exception):
    """The document, or what was asked of it, cannot be read.

    Args:
        code: of a tool result.
        reason: one word: encrypted, broken, empty, too_large, unsupported, missing, timeout, memory or died.
        message: what is the matter, for people.
        hint: what can be done.
    """

    def __init__(self, code: str, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.hint = hint
