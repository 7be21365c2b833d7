"""Choose which of the installed plugins take part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leave out whatever else is installed."""
    monkeypatch.delenv("AGENTFLOW_PLUGINS_OFF", raising=False)
    monkeypatch.delenv("AGENTFLOW_STRICT", raising=False)

    def only(*names: str) -> None:
        monkeypatch.setenv("AGENTFLOW_PLUGINS", ",".join(names))

    return only
