"""Turn entry-point metadata into rows; import nothing from plugins."""

from __future__ import annotations

import importlib.metadata
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

from attrs import evolve, field, frozen

from agentflow_core import __version__
from agentflow_core.contributions import Contribution
from agentflow_core.errors import UsageError
from agentflow_core.names import check_name, did_you_mean
from agentflow_core.plugins.versions import canonical, is_satisfied, parse_requirement

__all__ = ["CORE", "GROUP", "Discovery", "Found", "PluginRow", "discover", "is_on"]

GROUP = "agentflow"
#: The entry-point name of the core's own contributions; it is always allowed.
CORE = "core"
CORE_DISTRIBUTION = "agentflow-core"
CORE_MODULE = "agentflow_core.builtin"
Status = Literal["ok", "blocked", "broken", "incompatible", "clash"]


@frozen(kw_only=True)
class PluginRow:
    """One plugin, and what became of it. ``reason`` says why a status is not ``ok``."""

    name: str  #: the entry-point name, or the name of a loaded file
    distribution: str  #: empty for a loaded file
    version: str
    module: str = ""  #: the entry point's value
    status: Status = "ok"
    reason: str = ""
    contributions: tuple[Contribution, ...] = ()  #: empty before the plugin is imported

    @property
    def label(self) -> str:
        """``plugin 'rag' (agentflow-rag 0.1.0)``, for messages."""
        origin = " ".join(part for part in (self.distribution, self.version) if part)
        return f"plugin {self.name!r} ({origin})" if origin else f"plugin {self.name!r}"

    @property
    def is_left_out(self) -> bool:
        """Whether it does not work although nobody blocked it."""
        return self.status not in ("ok", "blocked")


@frozen(kw_only=True)
class Found:
    """A row, and how to import what it stands for."""

    row: PluginRow
    load: Callable[[], object] = field(repr=False)


@frozen(kw_only=True)
class Discovery:
    """Every plugin that metadata or a test names, the core first, then by name; and what people should know."""

    found: tuple[Found, ...]
    notices: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[PluginRow, ...]:
        """The rows alone."""
        return tuple(found.row for found in self.found)


def discover(environ: Mapping[str, str] = os.environ) -> Discovery:
    """Read the metadata of every installed distribution, and apply the allow list and the block list.

    ``AGENTFLOW_PLUGINS`` allows, ``AGENTFLOW_PLUGINS_OFF`` blocks: names of plugins or of distributions, joined by
    commas. A row that metadata already speaks against (blocked, another core version wanted, a name claimed twice)
    says so; the others are ``ok`` as far as can be told without importing them.
    """
    return judge(_installed(), environ)


def judge(candidates: Iterable[Found], environ: Mapping[str, str]) -> Discovery:
    """Apply block lists and name clashes to candidates; the core's own come first and are never blocked."""
    allow, block = _names(environ, "AGENTFLOW_PLUGINS"), _names(environ, "AGENTFLOW_PLUGINS_OFF")
    found = [_blocked(candidate, allow, block) for candidate in candidates]
    claims: dict[str, list[PluginRow]] = defaultdict(list)
    for candidate in found:
        if candidate.row.status != "blocked":
            claims[candidate.row.name].append(candidate.row)
    found = [_clashing(candidate, claims[candidate.row.name]) for candidate in found]
    found.sort(key=lambda each: (not _is_core(each.row), each.row.name, each.row.distribution))
    return Discovery(found=tuple(found), notices=tuple(_notices(allow, block, [each.row for each in found])))


def is_on(environ: Mapping[str, str], name: str) -> bool:
    """Whether an environment variable switches something on: set, and neither empty nor ``0``."""
    return environ.get(name, "") not in ("", "0")


def _installed() -> Iterator[Found]:
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        # The text is looked at before it is parsed: few of the installed distributions are plugins.
        try:
            text = distribution.read_text("entry_points.txt")
        except UnicodeDecodeError:  # pip would not have installed this; it can be no plugin that works
            continue
        if not text or f"[{GROUP}]" not in text.replace(" ", ""):
            continue
        name, version, requires = _identity(distribution)
        if name and canonical(name) in seen:  # once more on sys.path, such as an editable install beside its egg-info
            continue
        seen.add(canonical(name))
        try:
            entries = tuple(distribution.entry_points.select(group=GROUP))
        except (TypeError, ValueError) as error:  # lines that are no entries
            yield _torn(PluginRow(name=name, distribution=name, version=version), error)
            continue
        for entry in entries:
            row = PluginRow(name=entry.name, distribution=name, version=version, module=entry.value)
            yield Found(row=_judged(row, requires), load=entry.load)
    if canonical(CORE_DISTRIBUTION) not in seen:  # run from a source tree that is not installed
        yield core()


def core() -> Found:
    """The core's own contributions, which need no metadata."""
    entry = importlib.metadata.EntryPoint(CORE, CORE_MODULE, GROUP)
    row = PluginRow(name=CORE, distribution=CORE_DISTRIBUTION, version=__version__, module=CORE_MODULE)
    return Found(row=row, load=entry.load)


def _torn(row: PluginRow, error: Exception) -> Found:
    def load() -> object:
        raise error

    reason = f"the entry_points.txt of its distribution cannot be read: {error}"
    return Found(row=evolve(row, status="broken", reason=reason), load=load)


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str, list[str]]:
    try:
        metadata = distribution.metadata
        name, version = (str((metadata.get_all(key) or [""])[0]) for key in ("Name", "Version"))
        return name, version, [str(line) for line in metadata.get_all("Requires-Dist") or ()]
    except (TypeError, ValueError, OSError, importlib.metadata.PackageNotFoundError):  # no METADATA, or a torn one
        return "", "", []


def _judged(row: PluginRow, requires: Iterable[str]) -> PluginRow:
    if not row.distribution:
        return evolve(row, status="broken", reason="its distribution has no readable METADATA: install it again")
    try:
        check_name(row.name, "plugin")
    except UsageError as error:
        return evolve(row, status="broken", reason=error.message)
    if row.name == CORE and not _is_core(row):
        return evolve(row, status="clash", reason=f"the name {CORE!r} belongs to {CORE_DISTRIBUTION} {__version__}")
    for text in requires:
        wanted = parse_requirement(text)
        if wanted is None or wanted.name != CORE_DISTRIBUTION or wanted.marker:  # markers are the installer's matter
            continue
        satisfied = is_satisfied(wanted.specifier, __version__)
        if satisfied is None:
            return evolve(row, status="incompatible", reason=f"its requirement {text!r} cannot be read")
        if not satisfied:
            reason = f"it needs {CORE_DISTRIBUTION}{wanted.specifier}, this is {__version__}"
            return evolve(row, status="incompatible", reason=reason)
    return row


def _is_core(row: PluginRow) -> bool:
    return row.name == CORE and canonical(row.distribution) == CORE_DISTRIBUTION


def _names(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in environ.get(variable, "").split(",")) if name)


def _is_named(row: PluginRow, names: Iterable[str]) -> bool:
    return any(name == row.name or canonical(name) == canonical(row.distribution) for name in names)


def _blocked(candidate: Found, allow: tuple[str, ...], block: tuple[str, ...]) -> Found:
    row = candidate.row
    if _is_core(row):
        return candidate
    if _is_named(row, block):
        return evolve(candidate, row=evolve(row, status="blocked", reason="AGENTFLOW_PLUGINS_OFF names it"))
    if allow and not _is_named(row, allow):
        return evolve(candidate, row=evolve(row, status="blocked", reason="AGENTFLOW_PLUGINS does not name it"))
    return candidate


def _clashing(candidate: Found, claims: list[PluginRow]) -> Found:
    row = candidate.row
    others = [other for other in claims if other is not row]
    if row.status == "blocked" or not others or _is_core(row) or row.name == CORE:
        return candidate
    named = ", ".join(sorted(f"{other.distribution} {other.version}" for other in others))
    reason = f"the plugin name {row.name!r} is claimed by {row.distribution} {row.version} and by {named}"
    return evolve(candidate, row=evolve(row, status="clash", reason=reason))


def _notices(allow: tuple[str, ...], block: tuple[str, ...], rows: list[PluginRow]) -> Iterator[str]:
    known = sorted({row.name for row in rows})
    for variable, names in (("AGENTFLOW_PLUGINS", allow), ("AGENTFLOW_PLUGINS_OFF", block)):
        for name in names:
            if not any(_is_named(row, (name,)) for row in rows):
                yield f"{variable} names {name!r}, which is not installed{did_you_mean(name, known)}"
    if any(_is_core(row) and _is_named(row, block) for row in rows):
        yield f"AGENTFLOW_PLUGINS_OFF names {CORE!r}, which is always there"
