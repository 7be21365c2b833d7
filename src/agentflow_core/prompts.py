"""Prompts are files: load one from a package or from the user, fill its named fields, know its version."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import ConfigError, Problem, UsageError
from agentflow_core.names import did_you_mean, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Prompt", "Prompts", "defused", "load_prompt", "prompt_names"]

_CORE = "agentflow_core"
_FOLDER = "prompts"


@frozen(kw_only=True, slots=False)
class Prompt:
    """A text with named fields, written ``${field}``; a dollar sign is written ``$$``."""

    name: str
    text: str

    @cached_property
    def version(self) -> str:
        """The start of the text's hash: records say with which prompt they were made."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the fields."""
        return frozenset(Template(self.text).get_identifiers())

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
    text = resources.files(package).joinpath(_FOLDER, f"{name}.md").read_text(encoding="utf-8")
    return Prompt(name=name, text=text)


def prompt_names() -> tuple[str, ...]:
    """The prompts of the core, as ``<package>.<file>``, sorted: ``synthesis.draft``."""
    found = []
    for package in resources.files(_CORE).iterdir():
        folder = package.joinpath(_FOLDER)
        if folder.is_dir():
            found += [f"{package.name}.{file.name[:-3]}" for file in folder.iterdir() if file.name.endswith(".md")]
    return tuple(sorted(found))


class Prompts:
    """The prompts of a run: those of the core, but for the ones that the user brings.

    Args:
        files: files by the name of the prompt that they stand in for, such as ``synthesis.draft``. Each has the named
            fields of that prompt, all of them and no other.

    Raises:
        ConfigError: with every problem; each names the file.
    """

    def __init__(self, files: Mapping[str, Path] | None = None) -> None:
        self._known: dict[str, Prompt] = {}
        problems: list[Problem] = []
        for name, path in (files or {}).items():
            found = _users(name, path)
            if isinstance(found, Prompt):
                self._known[name] = found
            else:
                problems += [Problem(said, path=f"prompts.{name}") for said in found]
        if problems:
            raise ConfigError(problems)

    def __call__(self, name: str) -> Prompt:
        """The prompt of this name. Raises `UnknownNameError` if there is none."""
        if name not in self._known:
            package, _, file = name.partition(".")
            try:
                self._known[name] = Prompt(name=name, text=load_prompt(f"{_CORE}.{package}", file).text)
            except (FileNotFoundError, ModuleNotFoundError) as error:
                raise unknown_name("prompt", name, prompt_names()) from error
        return self._known[name]

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of those prompts by name, sorted."""
        return {name: self(name).version for name in sorted(set(names))}


def _users(name: str, path: Path) -> Prompt | list[str]:
    """The user's prompt, or what is wrong with it."""
    known = prompt_names()
    if name not in known:
        return [f"there is no prompt {name!r}{did_you_mean(name, known)}; there is: {', '.join(known)}"]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        return [f"{path}: cannot be read: {said}"]
    if not text.strip():
        return [f"{path}: is empty"]
    wrong = next((found for found in Template.pattern.finditer(text) if found["invalid"] is not None), None)
    if wrong is not None:
        line = text.count("\n", 0, wrong.start()) + 1
        return [f"{path}:{line}: a dollar sign that begins no field; fields are written ${{name}}, the sign itself $$"]
    prompt = Prompt(name=name, text=text)
    wanted = Prompts()(name).fields
    problems = []
    if missing := sorted(wanted - prompt.fields):
        problems.append(f"{path}: has no {_shown(missing)}; the fields of {name} are {_shown(wanted)}")
    strange = sorted(prompt.fields - wanted)
    problems += [f"{path}: ${{{field}}} is no field of {name}{did_you_mean(field, wanted)}" for field in strange]
    return problems or prompt


def _shown(fields: Iterable[str]) -> str:
    return ", ".join(f"${{{field}}}" for field in sorted(fields)) or "none"


def defused(text: str, *tags: str) -> str:
    """A text of a model or a tool in which nothing opens or closes one of the prompt's own tags."""
    return re.sub(rf"<(?=\s*/?\s*(?:{'|'.join(map(re.escape, tags))})\b)", "‹", text, flags=re.IGNORECASE)
