"""Count requests and calls, and write the counts as Prometheus text."""

from __future__ import annotations

import os
import sys
import time
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Metrics"]

_BUCKETS_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_Labels = tuple[tuple[str, str], ...]
_STATES = ("idle", "starting", "ready", "failed", "closed")


class Metrics:
    """What was done since the start."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._sums: Counter[str] = Counter()
        self._started_at = time.time()
        self.lost_workers = 0

    def count_call(self, tool: str, code: str, wall_s: float) -> None:
        """One call; ``tool`` is a name that is offered, since each becomes a series."""
        self._calls[tool, code] += 1
        times = self._times.get(tool)
        if times is None:
            times = self._times[tool] = [0] * (len(_BUCKETS_S) + 1)
        times[bisect_left(_BUCKETS_S, wall_s)] += 1
        self._sums[tool] += wall_s  # type: ignore[assignment]

    def count_request(self, method: str, route: str, status: int) -> None:
        """One request; ``route`` is a route's pattern."""
        self._requests[method, route, status] += 1

    def text(self, status: Mapping[str, Any], *, is_ready: bool, in_flight: int) -> str:
        """All of it; ``status`` is the engine's."""
        return "\n".join([*self._lines(status, is_ready=is_ready, in_flight=in_flight), ""])

    def _lines(self, status: Mapping[str, Any], *, is_ready: bool, in_flight: int) -> Iterator[str]:
        yield from _family("agentflow_ready", "gauge", "Is the warmup done?", [((), int(is_ready))])
        yield from _family("agentflow_requests_in_flight", "gauge", "Requests under way.", [((), in_flight)])
        yield from _family(
            "agentflow_http_requests_total",
            "counter",
            "Requests by route and status.",
            [
                ((("method", method), ("route", route), ("status", str(code))), count)
                for (method, route, code), count in sorted(self._requests.items())
            ],
        )
        yield from _family(
            "agentflow_calls_total",
            "counter",
            "Tool calls by tool and code.",
            [((("tool", tool), ("code", code)), count) for (tool, code), count in sorted(self._calls.items())],
        )
        yield from self._histogram()
        yield from _family(
            "agentflow_workers_lost_total", "counter", "Workers whose heartbeat ended.", [((), self.lost_workers)]
        )
        groups = {**status["backends"], **status["api_tools"]}
        for key, about in (
            ("sessions", "Open sessions."),
            ("running", "Calls that run."),
            ("waiting", "Calls that wait for their turn."),
        ):
            values = [((("backend", name),), group.get(key, 0)) for name, group in sorted(groups.items())]
            yield from _family(f"agentflow_backend_{key}", "gauge", about, values)
        states = [
            ((("backend", name), ("state", state)), int(group["state"] == state))
            for name, group in sorted(groups.items())
            for state in _STATES
        ]
        yield from _family("agentflow_backend_state", "gauge", "1 for the state that a backend is in.", states)
        yield from _process(self._started_at)

    def _histogram(self) -> Iterator[str]:
        name = "agentflow_call_seconds"
        yield f"# HELP {name} How long calls took."
        yield f"# TYPE {name} histogram"
        for tool, times in sorted(self._times.items()):
            total = 0
            for edge, count in zip((*map(str, _BUCKETS_S), "+Inf"), times, strict=True):
                total += count
                yield _sample(f"{name}_bucket", (("tool", tool), ("le", edge)), total)
            yield _sample(f"{name}_sum", (("tool", tool),), self._sums[tool])
            yield _sample(f"{name}_count", (("tool", tool),), total)


def _family(name: str, kind: str, about: str, samples: Iterable[tuple[_Labels, float]]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _sample(name: str, labels: _Labels, value: float) -> str:
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _process(started_at: float) -> Iterator[str]:
    used = os.times()
    seconds = used.user + used.system
    yield from _family("process_cpu_seconds_total", "counter", "CPU time.", [((), round(seconds, 3))])
    yield from _family("process_start_time_seconds", "gauge", "When it started.", [((), started_at)])
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        size = pages * os.sysconf("SC_PAGE_SIZE")
        yield from _family("process_resident_memory_bytes", "gauge", "Memory in use.", [((), size)])
