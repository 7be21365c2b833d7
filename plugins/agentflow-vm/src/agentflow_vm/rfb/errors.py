"""What can go wrong with a display.

SandboxError
└── DisplayError          ``display_error``
    ├── ProtocolError     it sent what RFB does not allow
    ├── AccessRefused     it asks for what we cannot give, or did not take it
    └── DisplayLost       the connection has ended, or nothing moves on it
"""

from __future__ import annotations

from agentflow_core.errors import SandboxError

__all__ = ["AccessRefused", "DisplayError", "DisplayLost", "ProtocolError"]


class DisplayError(SandboxError):
    """A display that cannot be used."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="display_error", hint=hint)


class ProtocolError(DisplayError):
    """The server sent what RFB does not allow."""


class AccessRefused(DisplayError):
    """The server asks for what we cannot give, or did not take it."""


class DisplayLost(DisplayError):
    """The connection has ended, or nothing moves on it."""
