"""Translate what files of the earlier AgentFlow say about the sandbox: server files, and the keys of its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from attrs import evolve

from agentflow_core.config.legacy_keys import Old, items, listed
from agentflow_core.config.legacy_names import backend_of, is_first_party
from agentflow_core.config.nodes import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentflow_core.config.legacy_keys import New, Translator

__all__ = ["RUN_KEYS", "is_server_file", "sandbox_of_run", "server_file"]

#: The keys by which a run said where its sandbox is.
RUN_KEYS: Final = (
    "resource_types",
    "resource_init_configs",
    "sandbox_server_url",
    "sandbox_auto_start",
    "sandbox_config_path",
    "sandbox_timeout",
)
_DEFAULT_URL: Final = "http://127.0.0.1:18890"
_OF_SERVER: Final = ("url", "title", "description", "session_ttl", "log_level")
_NEW: Final = ("backends", "enabled", "limits", "launcher", "state_dir", "url", "token", "sandbox")
#: Settings of resources that stand elsewhere now; all of them are paths.
_SETTINGS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "rag": {"corpus_path": ("corpora", "corpus", "path")},
    "text2sql": {"databases": ("databases",)},
}


def is_server_file(root: Node) -> bool:
    """Whether the document configures a sandbox server of the earlier AgentFlow."""
    keys = root.value if isinstance(root.value, dict) else {}
    if any(key in keys for key in _NEW):
        return False
    server = keys["server"].value if "server" in keys else None
    return (
        "resources" in keys
        or "apis" in keys
        or ("warmup" in keys and isinstance(keys["warmup"].value, dict))
        or (isinstance(server, dict) and any(key in server for key in _OF_SERVER))
    )


# ---- server files


def server_file(root: Node, new: New, translator: Translator, *, is_served: bool = True) -> list[str]:
    """Translate a server file into ``new``; returns its backends.

    Where it is not served but used inside of a run, what it says of the server is ignored.
    """
    old = Old(root, translator)
    server = old.section("server")
    ttl = server.take("session_ttl")
    if is_served:
        _server(server, new)
    server.ignore_rest((), "the server has no such setting" if is_served else "the sandbox is inside of the run")
    backends = [
        *_resources(old.section("resources"), new, translator),
        *_apis(old.section("apis"), new, translator),
    ]
    backends = list(dict.fromkeys(backends))
    if backends:
        new.put(("enabled",), Node(value=tuple(Node(value=name, mark=old.mark) for name in backends), mark=old.mark))
    for name in backends:
        new.put(("limits", name, "idle_ttl_s"), ttl)
    _warmup(old, new, translator)
    old.ignore_rest(("server", "resources", "apis", "warmup"))
    return backends


def _server(server: Old, new: New) -> None:
    """Translate where it listens: ``host`` and ``port``, or what they were in ``url``."""
    url = server.take("url")
    host, port = server.take("host"), server.take("port")
    if url is not None and isinstance(url.value, str) and "$" not in url.value:
        place = urlsplit(url.value)
        host = host or (evolve(url, value=place.hostname) if place.hostname else None)
        port = port or (evolve(url, value=place.port) if place.port else None)
    new.put(("server", "host"), host)
    new.put(("server", "port"), port)


def _resources(resources: Old, new: New, translator: Translator) -> list[str]:
    found = []
    for name in resources.left:
        resource = resources.section(name)
        if translator.flag(resource.take("enabled")) is not False:
            found.append(backend_of(name))
            _settings(name, resource.section("config"), new, translator)
        resource.ignore(["config"], "the resource is not enabled")
        resource.ignore(["backend_class"], f"the plugin that provides {backend_of(name)!r} is installed, not named")
        resource.ignore_rest((), "a resource has no such setting")
    return found


def _apis(apis: Old, new: New, translator: Translator) -> list[str]:
    found = []
    for name in apis.left:
        found.append(backend_of(name))
        _settings(name, apis.section(name), new, translator)
    return found


def _settings(name: str, settings: Old, new: New, translator: Translator) -> None:
    """Put a resource's settings where its backend has them; those of backends that are not ours as they are."""
    backend = backend_of(name)
    if not is_first_party(name):
        for key, node in items(settings):
            new.put(("backends", backend, key), node)
        return
    for key, place in _SETTINGS.get(name, {}).items():
        new.put(("backends", backend, *place), settings.take(key, translator.paths))
    settings.ignore_rest((), f"sandbox.backends.{backend} has no such setting")


def _warmup(old: Old, new: New, translator: Translator) -> None:
    node = old.take("warmup")
    if node is None:
        return
    names = node
    if isinstance(node.value, dict):
        warmup = Old(node, translator, "warmup.")
        is_on = translator.flag(warmup.take("enabled")) is not False
        listing = warmup.take("resources")
        warmup.ignore_rest(("enabled", "resources"))
        if not is_on or listing is None:
            return
        names = listing
    parts = (
        evolve(part, value=backend_of(part.value)) if isinstance(part.value, str) else part for part in listed(names)
    )
    new.put(("warmup",), evolve(names, value=tuple(parts)))


# ---- the keys of runs


def sandbox_of_run(old: Old, new: New, translator: Translator, tools: Sequence[str]) -> None:
    """Translate the sandbox of a synthesis or rollout into the section ``sandbox``.

    A sandbox that was started on demand is one inside of the run now; any other is the server at its URL.
    """
    auto = translator.flag(old.take("sandbox_auto_start"))
    url, config = old.take("sandbox_server_url"), old.take("sandbox_config_path")
    timeout = old.take("sandbox_timeout")
    old.ignore(["resource_types"], "a session starts when the first tool in it is called")
    _initial(old, translator)
    if auto is not True and (auto is False or (config is None and url is not None)):
        new.put(("sandbox", "url"), url or Node(value=_DEFAULT_URL, mark=old.mark))
        for node in (config, timeout):
            if node is not None:
                translator.ignore(node, "the server has its own configuration")
        return
    if url is not None:
        translator.ignore(url, "the sandbox is inside of the run; there is no server to start")
    backends = _embedded(config, new, translator)
    groups = {tool.partition(":")[0]: None for tool in tools if ":" in tool} | dict.fromkeys(backends)
    if timeout is not None and not groups:
        translator.ignore(timeout, "set sandbox.limits.NAME.timeout_s")
    for name in groups:
        new.put(("sandbox", "limits", name, "timeout_s"), timeout)


def _embedded(config: Node | None, new: New, translator: Translator) -> Iterable[str]:
    """Take over the file that the server would have been started with; returns its backends."""
    if config is None:
        return ()
    if not isinstance(config.value, str):
        translator.refuse(config, "expected a path")
        return ()
    path = translator.found(config)
    if path is None:
        return ()
    root = translator.read(path)
    if is_server_file(root):
        return server_file(root, new.at("sandbox"), translator, is_served=False)
    for key, node in root.value.items() if isinstance(root.value, dict) else ():
        if key not in ("server", "plugins", "token", "url"):
            new.put(("sandbox", key), node)
    return ()


def _initial(old: Old, translator: Translator) -> None:
    """Name what sessions were to begin with; empty settings said nothing."""
    resources = old.section("resource_init_configs")
    for name in resources.left:
        resource = resources.section(name)
        content = resource.section("content")
        reason = f"set sandbox.backends.{backend_of(name)}, or the session of each seed"
        content.ignore_rest((), reason)
        resource.ignore_rest((), reason)
