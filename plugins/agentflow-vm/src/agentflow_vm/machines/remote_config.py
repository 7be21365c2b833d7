"""Settings of a machine that is there already."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from agentflow_core.config import option

__all__ = ["RemoteConfig"]


@frozen(kw_only=True)
class RemoteConfig:
    """A display that somebody else serves."""

    host: str | None = option(None, help="its name or address")
    port: int = option(5900, help="its port", at_least=1, at_most=65535)
    password: str | None = option(None, help="for VncAuth, such as ${VNC_PASSWORD}", secret=True)
    unicode: Literal["keysym", "clipboard", "none"] = option(
        "clipboard", help="how characters that no key makes are typed; keysym for servers such as TigerVNC's Xvnc"
    )
