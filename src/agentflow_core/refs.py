"""Turn ``package.module:Attribute`` into the object that it names, at first use."""

from __future__ import annotations

import importlib
import re
from typing import Any

from agentflow_core.errors import RefError

__all__ = ["check_ref", "resolve"]

REF = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def check_ref(ref: str) -> str:
    """Return ``ref`` if it has the form ``package.module:Attribute``; else raise `RefError`."""
    if not REF.fullmatch(ref):
        raise RefError(f"{ref!r} is not an import path", hint="write it as 'package.module:Attribute'")
    return ref


def resolve(ref: str) -> Any:
    """Import the module and return the attribute.

    Raises:
        RefError: the form is wrong, the module fails to import (whatever it raises), or it has no such attribute.
    """
    module_name, _, attribute = check_ref(ref).partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise RefError(
            f"{ref!r}: importing {module_name} failed: {type(error).__name__}: {error}",
            hint="agentflow plugins check",
        ) from error
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise RefError(f"{ref!r}: {module_name} has no {attribute!r}") from error
    return found
