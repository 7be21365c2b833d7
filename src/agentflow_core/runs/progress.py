"""Show a run while it goes on: bars on a terminal, a line every ten seconds elsewhere, or events for programs."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

import attrs
import orjson

from agentflow_core.records import Record
from agentflow_core.records.codec import dump
from agentflow_core.runs.tally import Tally, plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from agentflow_core.records.events import Event
    from agentflow_core.runs.tally import StageTally

__all__ = ["Display", "JsonProgress", "Mode", "PlainProgress", "RichProgress", "event_json", "open_progress"]

Mode = Literal["auto", "plain", "json"]
_INTERVAL_S = 10.0


class Display(Protocol):
    """Shows events; ``tally`` holds the figures so far."""

    tally: Tally

    def observe(self, event: Event) -> None:
        """Count and show one event."""
        ...

    def tick(self) -> None:
        """Show what time alone has changed; called about once a second."""
        ...

    def close(self) -> None:
        """Show how things stand in the end."""
        ...


@contextmanager
def open_progress(
    mode: Mode = "auto", stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Display]:
    """A display for the time of a run.

    ``auto`` draws bars where ``stream`` (default: standard error) is a terminal, and is ``plain`` elsewhere; ``json``
    writes one object an event (default: to standard output). A reader that has gone away ends the display, not the run.
    """
    display = _display(mode, stream, clock)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(1.0):
            display.tick()

    pulse = threading.Thread(target=beat, name="agentflow-progress", daemon=True)
    pulse.start()
    try:
        yield display
    finally:
        over.set()
        pulse.join()
        display.close()


def _display(mode: Mode, stream: TextIO | None, clock: Callable[[], float]) -> Display:
    if mode == "json":
        return JsonProgress(stream or sys.stdout, clock)
    stream = stream or sys.stderr
    if mode == "auto" and stream.isatty() and os.environ.get("TERM") != "dumb":
        return RichProgress(stream, clock)
    return PlainProgress(stream, clock)


class _Lines:
    """Writes lines until nobody reads them any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def write(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # closed, or a pipe without a reader: the run is worth more than its display
            self._stream = None


class JsonProgress:
    """One JSON object an event."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.tally = Tally(clock)
        self._lines = _Lines(stream)
        self._lock = threading.Lock()

    def observe(self, event: Event) -> None:
        """Write the event."""
        with self._lock:
            self.tally.add(event)
            self._lines.write(event_json(event))

    def tick(self) -> None:
        """Time alone is no event."""

    def close(self) -> None:
        """Nothing is left to write."""


def event_json(event: Event) -> str:
    """``{"event": "unit_finished", …}``: the name of the record in snake case, then its fields."""
    name = "".join(f"_{char.lower()}" if char.isupper() else char for char in type(event).__name__).lstrip("_")
    fields: dict[str, Any] = {"event": name}
    for field in attrs.fields(type(event)):
        value = getattr(event, field.name)
        fields[field.name] = dump(value) if isinstance(value, Record) else value
    return orjson.dumps(fields, default=str).decode()


class PlainProgress:
    """The first line at once, then one every ``interval_s``, notices as they come, and a last line."""

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, *, interval_s: float = _INTERVAL_S
    ) -> None:
        self.tally = Tally(clock)
        self._lines = _Lines(stream)
        self._clock = clock
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._began = clock()
        self._shown_at: float | None = None
        self._shown = ""

    def observe(self, event: Event) -> None:
        """Count the event; write what is due."""
        with self._lock:
            self.tally.add(event)
            for notice in self.tally.notices:
                self._lines.write(plain_text(notice, 2000))
            self.tally.notices.clear()
            self._show_if_due()

    def tick(self) -> None:
        """Write a line if one is due."""
        with self._lock:
            if self._shown_at is not None:
                self._show_if_due()

    def close(self) -> None:
        """Write how things stand, if that is not what the last line says."""
        with self._lock:
            if self.tally.stages and figures(self.tally) != self._shown:
                self._show()

    def _show_if_due(self) -> None:
        if self.tally.stages and (self._shown_at is None or self._clock() - self._shown_at >= self._interval_s):
            self._show()

    def _show(self) -> None:
        now = self._clock()
        self._shown_at, self._shown = now, figures(self.tally)
        left = [stage.seconds_left(now) for stage in self.tally.stages.values() if not stage.is_finished]
        about = f" | about {duration(left[0])} left" if left and left[0] else ""
        self._lines.write(f"[{duration(now - self._began)}] {self._shown}{about}")


def figures(tally: Tally) -> str:
    """Stages, calls, tokens, cost and verdicts on one line."""
    parts = [", ".join(_stage_line(name, stage) for name, stage in tally.stages.items())]
    parts += [part for part in (calls_line(tally), cost_line(tally), verdict_line(tally), error_line(tally)) if part]
    return " | ".join(parts)


def _stage_line(name: str, stage: StageTally) -> str:
    extra = [f"{stage.in_flight} in flight"] if stage.in_flight else []
    extra += [f"{stage.errors} failed"] if stage.errors else []
    return f"{plain_text(name, 40)} {stage.done}/{stage.total}" + (f" ({', '.join(extra)})" if extra else "")


def calls_line(tally: Tally) -> str:
    """Model calls, their pace, retries and the concurrency limit."""
    if not tally.calls:
        return ""
    parts = [f"{tally.calls} calls", f"{tally.calls_per_second():.1f}/s"]
    parts += [f"{tally.cached} cached"] if tally.cached else []
    parts += [f"{tally.retries} retries"] if tally.retries else []
    parts += [f"{tally.rate_limited} rate limited"] if tally.rate_limited else []
    parts += [f"limit {tally.limit}"] if tally.limit else []
    return ", ".join(parts)


def cost_line(tally: Tally) -> str:
    """Tokens and cost so far, and what it comes to at this pace."""
    if not tally.calls:
        return ""
    line = f"{count(tally.spent.total_tokens)} tokens, {money(tally.spent.cost_usd)}"
    expected = tally.expected_cost()
    return f"{line} of about {money(expected)}" if expected and tally.spent.cost_usd else line


def verdict_line(tally: Tally) -> str:
    """Accepted and rejected drafts with the top reasons."""
    if not tally.accepted and not tally.rejected:
        return ""
    reasons = ", ".join(f"{plain_text(gate, 30)} {number}" for gate, number in tally.rejected.most_common(3))
    return f"accepted {tally.accepted}, rejected {tally.rejected.total()}" + (f" ({reasons})" if reasons else "")


def error_line(tally: Tally) -> str:
    """The kinds of errors that units ended in."""
    kinds = ", ".join(f"{plain_text(kind, 30)} {number}" for kind, number in tally.errors.most_common(3))
    return f"errors: {kinds}" if kinds else ""


def money(usd: float | None) -> str:
    """A price; ``?`` where it is unknown."""
    if usd is None:
        return "$?"
    return f"${usd:.2f}" if usd >= 1 or usd == 0 else f"${usd:.4f}"


def count(number: int) -> str:
    """A count of at most three digits and a unit."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


def duration(seconds: float) -> str:
    """``m:ss``, or ``h:mm:ss``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class RichProgress:
    """A bar a stage, and the figures below; redrawn four times a second."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console  # 50 ms; only on a terminal
        from rich.live import Live

        self.tally = Tally(clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._console = Console(file=stream)
        self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=False)
        self._live.start()

    def observe(self, event: Event) -> None:
        """Count the event; print a notice above the bars."""
        with self._lock:
            self.tally.add(event)
            notices, self.tally.notices = self.tally.notices, []
        for notice in notices:
            self._console.print(plain_text(notice, 2000), markup=False, highlight=False)

    def tick(self) -> None:
        """The bars redraw themselves."""

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._live.stop()

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            bars = Table.grid(padding=(0, 1))
            now = self._clock()
            for name, stage in self.tally.stages.items():
                left = stage.seconds_left(now)
                bars.add_row(
                    Text(plain_text(name, 40)),
                    ProgressBar(total=max(1, stage.total), completed=stage.done if stage.total else 1, width=32),
                    Text(f"{stage.done}/{stage.total}"),
                    Text(f"{stage.in_flight} in flight" if stage.in_flight else ""),
                    Text(f"{stage.errors} failed" if stage.errors else "", style="red"),
                    Text(f"{duration(left)} left" if left else ""),
                )
            lines = (calls_line(self.tally), cost_line(self.tally), verdict_line(self.tally), error_line(self.tally))
            return Group(bars, *(Text(line, style="dim") for line in lines if line))
