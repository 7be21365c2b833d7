"""The search engines by name, imported when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.errors import PluginError

if TYPE_CHECKING:
    from agentflow_rag.engines.base import Engine

__all__ = ["ENGINES", "load_engine"]

#: Each engine and how it is installed.
ENGINES = {"tantivy": "pip install tantivy", "whoosh": "pip install 'agentflow-rag[whoosh]'"}


def load_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        PluginError: its library is not installed.
    """
    try:
        if name == "tantivy":
            from agentflow_rag.engines.tantivy_engine import TantivyEngine

            return TantivyEngine()
        from agentflow_rag.engines.whoosh_engine import WhooshEngine

        return WhooshEngine()
    except ImportError as error:
        raise PluginError(f"the search engine {name!r} is not installed", hint=ENGINES[name]) from error
