"""Prompts are files: load one from a package or a folder, fill its named fields, know its version."""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib import resources
from string import Template
from typing import Any

from attrs import frozen

from agentflow_core.errors import UsageError

__all__ = ["Prompt", "load_prompt"]


@frozen(kw_only=True, slots=False)
class Prompt:
    """A text with named fields, written ``${field}``; a dollar sign is written ``$$``."""

    name: str
    text: str

    @cached_property
    def version(self) -> str:
        """The start of the text's hash: records say with which prompt they were made."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def render(self, **fields: Any) -> str:
        """The text with every field filled in; what the values hold is never expanded again.

        Raises:
            UsageError: the text names a field that is not given.
        """
        try:
            return Template(self.text).substitute(fields).strip()
        except (KeyError, ValueError) as error:
            given = ", ".join(sorted(fields))
            raise UsageError(
                f"prompt {self.name!r} cannot be filled in: {error}", hint=f"its fields are: {given}"
            ) from error


def load_prompt(package: str, name: str) -> Prompt:
    """The prompt ``prompts/<name>.md`` of a package."""
    text = resources.files(package).joinpath("prompts", f"{name}.md").read_text(encoding="utf-8")
    return Prompt(name=name, text=text)
