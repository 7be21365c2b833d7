"""What servers offer, as a catalog: tools that are known by their schemas and run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve, frozen

from agentflow_core.errors import AgentFlowError, SandboxError
from agentflow_core.sandbox.backend import PROBING
from agentflow_core.sandbox.catalog import Catalog, Group, OfferedTool, probes_of
from agentflow_core.sandbox.config import EngineConfig
from agentflow_core.sandbox.tools import Parameter, ToolFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentflow_core.plugins import PluginHost

__all__ = ["Offers", "catalog_of", "same_offers"]


@frozen(kw_only=True)
class Offers:
    """What one server says that it offers."""

    url: str
    tools: Mapping[str, Mapping[str, Any]]  #: by name, as ``/v1/tools?format=native`` gives them
    backends: Mapping[str, Mapping[str, Any]]  #: by name, as ``/v1/capabilities`` gives them
    sessions: int  #: open at that time
    heartbeat_s: float  #: how often it wants a sign of life

    @classmethod
    def read(cls, url: str, tools: Any, capabilities: Any) -> Offers:
        """The offers in the server's own words. Raises `SandboxError` if they cannot be read."""
        try:
            return cls(
                url=url,
                tools={row["name"]: _checked(row) for row in tools["tools"]},
                backends=dict(capabilities["backends"]),
                sessions=int(capabilities["status"]["sessions"]),
                heartbeat_s=float(capabilities["heartbeat_s"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SandboxError(
                f"{url} describes its tools in a way that this version cannot read",
                hint="server and client need versions of agentflow-core that fit",
            ) from error


def _checked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(row["parameters"]["properties"], dict) or not isinstance(row["sharing"], str):
        raise TypeError(f"{row['name']}: no schema")
    return row


def same_offers(offers: Iterable[Offers]) -> Offers:
    """The offers that all servers share.

    Raises:
        SandboxError: they do not offer the same; the message names a tool that tells two of them apart.
    """
    first, *others = offers
    for other in others:
        for name in sorted(first.tools.keys() | other.tools.keys()):
            mine, theirs = first.tools.get(name), other.tools.get(name)
            if mine is None or theirs is None or mine["parameters"] != theirs["parameters"]:
                raise SandboxError(
                    f"{first.url} and {other.url} do not offer the same: {name} differs",
                    code="conflict",
                    hint="start them with one configuration",
                )
    return first


def catalog_of(offers: Offers, host: PluginHost | None) -> Catalog:
    """The offers as a catalog.

    Rules that do not travel (what makes two calls one action, what makes two observations equal) are those of the
    plugin that is installed here, where ``host`` has the same tool with the same schema.
    """
    local = None if host is None else Catalog.from_registry(host.registry, EngineConfig())
    groups: dict[str, dict[str, Mapping[str, Any]]] = {name: {} for name in offers.backends}
    alone: dict[str, Callable[[], OfferedTool]] = {}
    for name, row in offers.tools.items():
        group = name.partition(":")[0]
        if group in groups and row["sharing"] == offers.backends[group].get("sharing"):
            groups[group][name] = row
        else:
            alone[name] = partial(_offered, name, row, offers.url, local)
    return Catalog(
        {name: partial(_group, name, rows, offers.backends[name], offers.url, local) for name, rows in groups.items()},
        alone,
    )


def _group(
    name: str, rows: Mapping[str, Mapping[str, Any]], backend: Mapping[str, Any], url: str, local: Catalog | None
) -> Group:
    if "error" in backend:
        raise SandboxError(f"{url}: {backend['error']}", code="provider_unavailable")
    return Group(
        name=name,
        tools={tool: _offered(tool, row, url, local) for tool, row in sorted(rows.items())},
        sharing=backend["sharing"],
        can_fork=backend["forkable"],
        has_files=bool(backend.get("files")),
        probing=probes_of(name, evolve(PROBING, function=_elsewhere, takes_state=False), url)
        if backend.get("probes")
        else None,
        provider=url,
    )


def _offered(name: str, row: Mapping[str, Any], url: str, local: Catalog | None) -> OfferedTool:
    schema = row["parameters"]
    required = schema.get("required", ())
    function = ToolFunction(
        name=name,
        function=_elsewhere,
        is_async=True,
        takes_state=False,
        description=row.get("description", ""),
        schema=schema,
        parameters={
            key: Parameter(name=key, check=_as_it_is, required=key in required, default=field.get("default"))
            for key, field in schema["properties"].items()
        },
        read_only=bool(row.get("read_only", False)),
        relative=bool(row.get("relative", False)),
    )
    installed = _installed(name, local)
    if installed is not None and installed.schema == schema:
        function = evolve(
            function,
            parameters=installed.parameters,
            canonicalize=installed.canonicalize,
            compare=installed.compare,
        )
    return OfferedTool(name=name, function=function, offline=row.get("offline"), provider=url)


def _installed(name: str, local: Catalog | None) -> ToolFunction | None:
    if local is None:
        return None
    try:
        return local.find(name)[1].function
    except AgentFlowError:  # it is not installed here, or cannot be imported here
        return None


def _as_it_is(value: Any) -> Any:
    return value


def _elsewhere() -> NoReturn:
    raise SandboxError("this tool runs on a server")
