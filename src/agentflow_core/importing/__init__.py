"""Runs made of what others wrote: the earlier AgentFlow, ATIF, and conversations in OpenAI's chat form."""

from __future__ import annotations

from agentflow_core.importing.notes import Notes
from agentflow_core.importing.running import FORMS, Imported, Importer, import_run

__all__ = ["FORMS", "Imported", "Importer", "Notes", "import_run"]
