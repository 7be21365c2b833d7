"""Growing trees (branching 3, depth 4, 50 ms model) beside their critical path, without sessions and with them.

The critical path is what no program can avoid: one model call after the other along the depth of the tree, what the
sessions take along it (20 ms to open one, to fork one, for a call; a session is forked by one at a time), plus the CPU
that the client spends. Prints both, and the ratio.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from _server import mock_server
from attrs import frozen

LATENCY_S = 0.05
STEP_S = 0.02  # of `_sessions`
DEPTH = 4
BRANCHING = 3
REPEATS = 3


@frozen(kw_only=True)
class Case:
    """A way to grow: the tool, what the sampling adds, and the seconds that sessions take in each wave."""

    name: str
    seeds: int
    tool: str = "bench:echo"
    branching: int = BRANCHING
    sampling: dict[str, Any]
    wave_s: tuple[float, ...] = (0.0,) * DEPTH
    max_sessions: int = 2000
    max_concurrency: int = 2000


def steps(*numbers: int) -> tuple[float, ...]:
    """The seconds of so many steps in a session, wave by wave."""
    return tuple(number * STEP_S for number in numbers)


WIDE = {"sessions_per_tree": 200}
CASES = (
    Case(name="no sessions, 1 seed", seeds=1, sampling={}),
    Case(name="no sessions", seeds=8, sampling={}),
    Case(name="continue (one path)", seeds=8, tool="slow:write", branching=1, sampling=WIDE, wave_s=steps(2, 1, 1, 1)),
    Case(name="fork", seeds=8, tool="forking:write", sampling={"isolation": "fork", **WIDE}, wave_s=steps(2, 3, 3, 3)),
    Case(name="continue and replay", seeds=8, tool="slow:write", sampling=WIDE, wave_s=steps(2, 3, 4, 5)),
    Case(name="replay", seeds=8, tool="slow:write", sampling={"isolation": "replay", **WIDE}, wave_s=steps(2, 3, 4, 5)),
    Case(
        name="fork, 64 sessions, 4 a tree",
        seeds=8,
        tool="forking:write",
        sampling={},
        wave_s=steps(2, 3, 3, 3),
        max_sessions=64,
        max_concurrency=64,
    ),
)


def grow(url: str, case: Case) -> tuple[float, float, dict[str, Any]]:
    """Wall seconds, CPU seconds and the funnel of a synthesis whose QA stage drafts nothing."""
    from agentflow_core import synthesize

    folder = Path(__file__).parent
    limits = {"max_sessions": case.max_sessions, "max_concurrency": case.max_concurrency}
    config = {
        "model": {
            "provider": "openai",
            "name": f"mock-{case.tool.replace(':', '_')}",
            "base_url": url,
            "api_key": "none",
            "max_concurrency": 256,
        },
        "seeds": {"items": [f"seed {number}" for number in range(case.seeds)]},
        "tools": [case.tool],
        "sampling": {
            "max_depth": DEPTH,
            "branching_factor": case.branching,
            "depth_threshold": DEPTH,
            **case.sampling,
        },
        "selection": {"min_depth": DEPTH, "max_selected_traj": 1},
        "plugins": {"load": [str(folder / "_tools.py"), str(folder / "_sessions.py")]},
        "sandbox": {"limits": dict.fromkeys(("slow", "forking"), limits)},
    }
    with tempfile.TemporaryDirectory() as run:
        started, cpu = time.perf_counter(), time.process_time()
        result = synthesize(config=config, output_dir=Path(run, "run"))
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return wall, cpu, dict(result.funnel)


def main() -> None:
    with mock_server("_responders:proposals", latency_ms=LATENCY_S * 1000) as url:
        grow(url, CASES[0])  # imports are no part of it
        for case in CASES:
            runs = [grow(url, case) for _ in range(REPEATS)]
            wall = statistics.median(run[0] for run in runs)
            cpu = statistics.median(run[1] for run in runs)
            path = (DEPTH + 1) * LATENCY_S + sum(case.wave_s) + cpu  # the waves, and one call to draft
            funnel = runs[0][2]
            branches = ", ".join(f"{name} {number}" for name, number in funnel.get("branches", {}).items() if number)
            print(
                f"{case.name}: {case.seeds} seeds, {funnel['nodes']} nodes: wall {wall:.2f} s, "
                f"critical path {path:.2f} s, ratio {wall / path:.2f} (target 1.3)  {branches}"
            )


if __name__ == "__main__":
    main()
