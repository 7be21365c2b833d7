"""Growing one tree (branching 3, depth 4, 50 ms model) beside its critical path, and several seeds at once.

The critical path is what no program can avoid: one model call after the other along the depth of the tree, plus the
CPU that the client spends. Prints both, and the ratio.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from _server import mock_server

LATENCY_MS = 50
DEPTH = 4


def grow(url: str, seeds: int) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and nodes of a synthesis whose QA stage drafts nothing."""
    from agentflow_core import synthesize

    config = {
        "model": {"provider": "openai", "name": "mock", "base_url": url, "api_key": "none", "max_concurrency": 64},
        "seeds": {"items": [f"seed {number}" for number in range(seeds)]},
        "tools": ["bench:echo"],
        "sampling": {"max_depth": DEPTH, "branching_factor": 3, "depth_threshold": DEPTH},
        "selection": {"min_depth": DEPTH, "max_selected_traj": 1},
        "plugins": {"load": [str(Path(__file__).with_name("_tools.py"))]},
    }
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), time.process_time()
        result = synthesize(config=config, output_dir=Path(folder, "run"))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return wall, cpu, result.funnel["nodes"]


def main() -> None:
    with mock_server("_responders:proposals", latency_ms=LATENCY_MS) as url:
        grow(url, 1)  # imports are no part of it
        for seeds in (1, 8):
            runs = [grow(url, seeds) for _ in range(3)]
            wall = statistics.median(run[0] for run in runs)
            cpu = statistics.median(run[1] for run in runs)
            path = (DEPTH + 1) * LATENCY_MS / 1000 + cpu  # the waves, one call to draft, and the client's CPU
            print(
                f"{seeds} seeds, {runs[0][2]} nodes: wall {wall:.2f} s, critical path {path:.2f} s, ratio {wall / path:.2f} (target 1.3)"
            )


if __name__ == "__main__":
    main()
