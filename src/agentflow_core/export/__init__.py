"""Training formats: what trainers accept, written from the derived files of a run."""

from __future__ import annotations

from agentflow_core.export.exporting import Exported, ExportFile, export_run
from agentflow_core.export.formats import Format, Pictures, Unfit
from agentflow_core.export.selection import Selection, Source

__all__ = ["ExportFile", "Exported", "Format", "Pictures", "Selection", "Source", "Unfit", "export_run"]
