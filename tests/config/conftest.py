"""What the configuration tests share: write a file, load it, list its problems; a registry without plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from agentflow_core.config import Loaded, load_config
from agentflow_core.errors import ConfigError, PluginError
from agentflow_core.names import unknown_name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file and return its path."""

    def write(text: str | bytes, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def load(write: Callable[..., Path]) -> Callable[..., Loaded[Any]]:
    """Load a class from the text of a file, with no variables unless given."""

    def load(cls: type, text: str | bytes, name: str = "run.yaml", **options: Any) -> Loaded[Any]:
        return load_config(cls, write(text, name), **{"environ": {}, **options})

    return load


@pytest.fixture
def problems(load: Callable[..., Loaded[Any]], tmp_path: Path) -> Callable[..., list[str]]:
    """The problems of the text of a file, without the folder."""

    def problems(cls: type, text: str | bytes, name: str = "run.yaml", **options: Any) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            load(cls, text, name, **options)
        return str(raised.value).replace(f"{tmp_path}/", "").split("\n")

    return problems


@frozen
class FakeEntry:
    """A contribution with this config class."""

    config: type | None

    def resolve_config(self) -> type | None:
        """The class of its settings."""
        return self.config


@frozen
class FakeRegistry:
    """Contributions by kind and name; None or the config class, or a PluginError to raise."""

    known: Mapping[str, Mapping[str, Any]]

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of a kind."""
        return tuple(sorted(self.known.get(kind, ())))

    def get(self, kind: str, name: str) -> FakeEntry:
        """The contribution of a name."""
        if name not in self.known.get(kind, {}):
            raise unknown_name(kind, name, self.names(kind))
        found = self.known[kind][name]
        if isinstance(found, PluginError):
            raise found
        return FakeEntry(found)


@pytest.fixture
def registry() -> type[FakeRegistry]:
    """Make a registry: ``registry({"metric": {"f1_score": None}})``."""
    return FakeRegistry
