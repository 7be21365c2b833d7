"""Settings of desktops in containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.sandbox.launchers import Limits

__all__ = ["DockerConfig"]

MIB = 1024 * 1024


@frozen(kw_only=True)
class DockerConfig:
    """A container a session, of an image that serves RFB."""

    image: str | None = option(None, help="the image; it must be there already")
    command: tuple[str, ...] = option((), help="what it runs (default: what the image says)")
    port: int = option(5900, help="at which it serves RFB", at_least=1, at_most=65535)
    password: str | None = option(None, help="for VncAuth, such as ${VNC_PASSWORD}", secret=True)
    network: Literal["none", "bridge"] = option(
        "none", help="none: the display is entered as root of this machine; bridge: the container reaches the network"
    )
    user: str = option("", help="as whom programs are started in it (default: the image's user)")
    home: str = option("", help="where programs start and relative paths begin (default: the image's folder)")
    display: str = option(":0", help="DISPLAY of the desktop")
    env: Mapping[str, str] = option(factory=dict, help="environment variables of the container")
    apps: tuple[str, ...] = option((), help="command lines that a session begins with")
    programs: Mapping[str, str] = option(factory=dict, help="names for command lines, for vm:launch")
    unicode: Literal["keysym", "clipboard", "none"] = option(
        "keysym", help="how characters that no key makes are typed; clipboard needs xclip in the image"
    )
    limits: Limits = option(
        Limits(memory_bytes=2048 * MIB, cpus=2.0, pids=512), help="what one session may take; its disk is not limited"
    )
    start_s: float = option(60.0, help="seconds in which it serves RFB", at_least=1.0)
