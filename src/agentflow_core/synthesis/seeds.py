"""Read seeds from a file, from standard input, or from the configuration itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core.errors import DataError
from agentflow_core.names import did_you_mean
from agentflow_core.records import Seed
from agentflow_core.rows import Row, read_rows

if TYPE_CHECKING:
    from agentflow_core.synthesis.config import SeedsConfig

__all__ = ["FoundSeed", "check_sessions", "find_seeds", "read_seeds", "seeds_of"]


@frozen(kw_only=True)
class FoundSeed:
    """A seed, and where it stands: ``file:line``, for messages."""

    seed: Seed
    where: str


def read_seeds(config: SeedsConfig) -> list[Seed]:
    """The seeds of the configuration, in order. Raises what `find_seeds` does."""
    return [found.seed for found in find_seeds(config)]


def find_seeds(config: SeedsConfig) -> list[FoundSeed]:
    """The seeds of the configuration, in order, with where they stand.

    Raises:
        DataError: neither or both sources are given, a seed has no content, an id stands twice, or there is none.
    """
    if config.path is None and not config.items:
        raise DataError("seeds: there are none; give either 'path' or 'items'", hint="agentflow synthesize … --seeds F")
    if config.path is not None and config.items:
        raise DataError("seeds: give either 'path' or 'items', not both")
    where = str(config.path or "seeds.items")
    rows = read_rows(config.path) if config.path else _rows(config.items)
    seeds = _seeds(rows)[: config.limit]
    if not seeds:
        raise DataError(f"{where}: holds no seed", hint='one seed a row: {"content": "…"}')
    return seeds


def seeds_of(items: Iterable[Any]) -> list[Seed]:
    """Seeds from texts, objects or `Seed` records."""
    return [found.seed for found in _seeds(_rows(items))]


def check_sessions(seeds: Iterable[FoundSeed], sharing: Mapping[str, str]) -> None:
    """Refuse seeds whose ``session`` names what has no sessions that could be initialized with it.

    Args:
        seeds: in order.
        sharing: of the backends that are offered, by name.

    Raises:
        DataError: a backend is not offered, or is shared and would not be told of the settings.
    """
    known = sorted(name for name, kind in sharing.items() if kind != "shared")
    for found in seeds:
        for name, settings in (found.seed.session or {}).items():
            if name not in sharing:
                raise DataError(
                    f"{found.where}: 'session' names the backend {name!r}, which is not there"
                    f"{did_you_mean(name, known)}",
                    hint=f"backends with sessions: {', '.join(known) or 'none'}",
                )
            if settings and sharing[name] == "shared":
                raise DataError(
                    f"{found.where}: 'session' has settings for {name!r}, which keeps no sessions",
                    hint=f"set them in the configuration: sandbox.backends.{name}",
                )


def _rows(items: Iterable[Any]) -> Iterable[Row]:
    for number, item in enumerate(items, 1):
        yield Row(value=item, where=f"seeds.items.{number - 1}", number=number)


def _seeds(rows: Iterable[Row]) -> list[FoundSeed]:
    seen: dict[str, str] = {}
    seeds = []
    for row in rows:
        seed = _seed(row)
        if seed.id in seen:
            raise row.error(f"id {seed.id!r} stands already at {seen[seed.id]}")
        seen[seed.id] = row.where
        seeds.append(FoundSeed(seed=seed, where=row.where))
    return seeds


def _seed(row: Row) -> Seed:
    if isinstance(row.value, Seed):
        _seed_id(row, row.value.id)
        return row.value
    value: Any = {"content": row.value} if isinstance(row.value, str) else row.value
    if not isinstance(value, Mapping):
        raise row.error(f"expected a text or an object, found {type(value).__name__}")
    content = value.get("content")
    if isinstance(content, str) and not content.strip():
        raise row.error("the 'content' of the seed is empty")
    if not isinstance(content, str):
        raise row.error("a seed needs a 'content'", hint=f"the row has: {', '.join(map(str, value)) or 'nothing'}")
    row = evolve(row, value=value)
    known = {"id", "content", "kwargs", "session"}
    return Seed(
        id=_seed_id(row, value.get("id")),
        content=content.strip(),
        kwargs=row.mapping("kwargs"),
        session=row.mapping("session") or None,
        unknown={key: item for key, item in value.items() if key not in known},
    )


def _seed_id(row: Row, value: Any) -> str:
    if value is None or value == "":
        return f"seed-{row.number:04d}"
    made = str(value)
    if "/" in made or "#" in made:  # both have a meaning in the ids of nodes and drafts
        raise row.error(f"the id {made!r} holds '/' or '#'", hint="leave the id out, or write it without them")
    return made
