"""Run units in this process, a bounded number at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentflow_core.interfaces import Unit

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Worker tasks that take units in order from one queue; as many tasks as may run, however many units there are."""

    async def run(
        self,
        units: Sequence[Unit],
        work: Callable[[Unit], Awaitable[None]],
        *,
        max_workers: int,
        should_stop: Callable[[], bool],
    ) -> None:
        """Run every unit; none is taken once ``should_stop()``. What ``work`` raises cancels the other units."""
        if max_workers < 1:
            raise ValueError(f"max_workers is {max_workers}; at least one is needed")
        queue = iter(units)

        async def take() -> None:
            while not should_stop():
                unit = next(queue, None)
                if unit is None:
                    return
                await work(unit)

        async with anyio.create_task_group() as group:
            for _ in range(min(max_workers, len(units))):
                group.start_soon(take)
