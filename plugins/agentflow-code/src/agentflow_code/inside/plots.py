"""Matplotlib's way out of a cell: its figures become images where they are shown, and at the end of the cell.

It is a backend of matplotlib, named by ``MPLBACKEND=module://agentflow_code.inside.plots``.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from matplotlib import pyplot
from matplotlib._pylab_helpers import Gcf
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

__all__ = ["FigureCanvas", "FigureManager", "rendered", "show"]

FORMATS = {"png": "image/png", "svg": "image/svg+xml"}
#: Pixels of an image at most; a figure of more is made coarser.
PIXELS = 2000 * 2000

FigureCanvas = FigureCanvasAgg
FigureManager = FigureManagerBase


def show(*args: Any, **kwargs: Any) -> None:
    """Send all figures, as a window would show them, and close them."""
    from agentflow_code.inside.shell import current  # imported by then; it is the one who imports us

    current().show_figures()


def rendered(kind: str) -> list[dict[str, Any]]:
    """All open figures as MIME bundles, in the order of their numbers; they are closed."""
    found = []
    for manager in Gcf.get_all_fig_managers():
        figure = manager.canvas.figure
        if not figure.get_children()[1:]:
            continue  # nothing was drawn
        width, height = figure.get_size_inches()
        dpi = min(figure.dpi, (PIXELS / max(width * height, 0.01)) ** 0.5)
        file = io.BytesIO()
        figure.savefig(
            file, format=kind, dpi=dpi, bbox_inches="tight", metadata={"Date": None} if kind == "svg" else None
        )
        data = file.getvalue()
        size = f"{width:g}x{height:g} in"
        found.append({FORMATS[kind]: data.decode() if kind == "svg" else data, "text/plain": f"<Figure size {size}>"})
    pyplot.close("all")
    return found


def is_used() -> bool:
    """Has anything made figures so far?"""
    return "matplotlib.pyplot" in sys.modules
