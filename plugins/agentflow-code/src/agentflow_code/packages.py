"""What ``code:install`` may install: the policy, and what the interpreter is told to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentflow_core.records import ToolResult
from agentflow_core.sandbox.launchers import Bind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_code.config import PackagesConfig
    from agentflow_code.session import CodeSession

__all__ = ["FOLDER", "install", "wheels_bind"]

#: Of the workspace: where packages go, after all that the interpreter has.
FOLDER: Final = ".packages"
WHEELS: Final = "/wheels"


def wheels_bind(config: PackagesConfig, *, same_paths: bool) -> tuple[Bind, ...]:
    """What a session has to see of the host for its installs."""
    if not config.allow or config.wheels is None or same_paths:
        return ()
    return (Bind(source=config.wheels, target=WHEELS),)


async def install(
    config: PackagesConfig, state: CodeSession, wanted: Sequence[str], timeout_s: float, *, same_paths: bool
) -> ToolResult:
    """Install packages into the session if the policy allows them and whatever they need beside what is there."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if not wanted:
        allowed = ", ".join(config.allow)
        return ToolResult.success({"allowed": list(config.allow)}, text=f"allowed are: {allowed or 'none'}")
    if not config.allow:
        return _denied("no packages can be installed here", config)
    rules = {}
    for entry in config.allow:
        if entry != "*":
            rule = Requirement(entry)
            rules[canonicalize_name(rule.name)] = rule
    asked: list[str] = []
    for text in wanted:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            return ToolResult.failure(
                "invalid_argument",
                f"packages: {text[:100]!r} is no package: {str(error).splitlines()[0]}",
                hint="a name, with a version if need be, such as 'tabulate==0.9.0'",
            )
        name = canonicalize_name(requirement.name)
        if requirement.url or ("*" not in config.allow and name not in rules):
            return _denied(f"packages: {text[:100]!r} is not allowed", config)
        limits = rules[name].specifier if name in rules else None
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        asked.append(f"{name}{extras}{','.join(str(each) for each in (requirement.specifier, limits) if each)}")
    source: list[str] = []
    if config.wheels is not None:
        source += ["--find-links", str(config.wheels) if same_paths else WHEELS]
    source += ["--index-url", config.index] if config.index is not None else ["--no-index"]
    payload: dict[str, Any] = {
        "wanted": asked,
        "allowed": None if "*" in config.allow else sorted(rules),
        "source": source,
        "target": f"{state.workspace}/{FOLDER}",
    }
    reply = await state.call("agentflow_code.inside.packages:install", payload, timeout_s, lasting=True)
    if reply.failure is not None:
        return reply.failure
    installed = reply.value.get("installed", {}) if isinstance(reply.value, dict) else {}
    said = ", ".join(f"{name} {version}" for name, version in sorted(installed.items()))
    return ToolResult.success(
        {"installed": installed}, text=f"installed: {said}" if said else "everything asked for is there already"
    )


def _denied(message: str, config: PackagesConfig) -> ToolResult:
    allowed = ", ".join(config.allow)
    return ToolResult.failure(
        "policy_denied", message, hint=f"allowed are: {allowed}" if allowed else "work with what is installed"
    )
