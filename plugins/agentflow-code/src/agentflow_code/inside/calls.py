"""Call a named function of ours in the interpreter, outside of the user's namespace."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Refused", "call"]


class Refused(Exception):
    """Raised by a function that refuses its call: a code of tool results, what is wrong, and what to do."""

    def __init__(self, code: str, message: str, *, hint: str = "", data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.data = data


def call(function: str, payload: Any) -> dict[str, Any]:
    """What ``package.module:function`` returns for the payload, as ``value``; or ``refused``, or ``defect``."""
    module, _, name = function.partition(":")
    try:
        return {"value": getattr(import_module(module), name)(payload)}
    except Refused as refused:
        told = {"code": refused.code, "message": refused.message, "hint": refused.hint, "data": refused.data}
        return {"refused": told}
    except Exception as error:  # noqa: BLE001 - the boundary between the interpreter and the server
        return {"defect": f"{type(error).__name__}: {error}"[:4000]}
