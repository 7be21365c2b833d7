"""How one session begins, as its client asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agentflow_browser.config import Viewport
from agentflow_core.errors import ConfigError, SandboxError

if TYPE_CHECKING:
    from agentflow_browser.config import BrowserConfig

__all__ = ["Settings", "read_settings"]

_SIZE: Final = "such as {width: 1280, height: 800}"


@frozen(kw_only=True)
class Settings:
    """See the module."""

    viewport: Viewport
    start_url: str | None = None
    storage_state: Mapping[str, Any] | None = None  #: as Playwright's ``storage_state()`` gives it


def read_settings(told: Mapping[str, Any], config: BrowserConfig) -> Settings:
    """Check what ``create_session`` was given.

    Raises:
        SandboxError: ``invalid_argument``: which setting is wrong, and how.
    """
    known = ("start_url", "viewport", "storage_state")
    if unknown := sorted(set(told) - set(known)):
        raise _invalid(f"{unknown[0]!r} is no setting of a browser session", f"one of {', '.join(known)}")
    start_url = told.get("start_url")
    if start_url is not None and not isinstance(start_url, str):
        raise _invalid("start_url must be a text", "such as https://example.com/")
    state = told.get("storage_state")
    if state is not None and (not isinstance(state, Mapping) or not set(state) <= {"cookies", "origins"}):
        raise _invalid("storage_state must have cookies and origins", "it is what Playwright's storage_state() gives")
    return Settings(start_url=start_url, viewport=_viewport(told.get("viewport"), config), storage_state=state)


def _viewport(told: Any, config: BrowserConfig) -> Viewport:
    if told is None:
        return config.viewport
    if not isinstance(told, Mapping) or set(told) != {"width", "height"}:
        raise _invalid("viewport must have width and height", _SIZE)
    sizes = {name: told[name] for name in ("width", "height")}
    if not all(type(size) is int for size in sizes.values()):
        raise _invalid("width and height of viewport must be whole numbers", _SIZE)
    try:
        return Viewport(**sizes)
    except ConfigError as error:
        raise _invalid(f"viewport: {error}", _SIZE) from error


def _invalid(message: str, hint: str) -> SandboxError:
    return SandboxError(message, code="invalid_argument", hint=hint)
