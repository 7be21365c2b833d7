"""What a user says about desktops: the ``backends: {vm: …}`` part of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import frozen

from agentflow_core.config import option
from agentflow_core.errors import ConfigError, Problem
from agentflow_core.sandbox.launchers import Limits, Network
from agentflow_vm.machines.docker_config import DockerConfig
from agentflow_vm.machines.qemu_config import QemuConfig
from agentflow_vm.machines.remote_config import RemoteConfig

__all__ = ["VmConfig", "XvncConfig"]

MIB = 1024 * 1024


@frozen(kw_only=True)
class XvncConfig:
    """A desktop of processes: an X server that speaks RFB, a window manager and applications, confined together."""

    apps: tuple[str, ...] = option((), help="command lines that a session begins with, in this order")
    window_manager: str = option("openbox", help="a command line; empty for none")
    programs: Mapping[str, str] = option(
        factory=lambda: {"terminal": "xterm"}, help="names for command lines, for vm:launch"
    )
    files: Mapping[str, Path] = option(
        factory=dict,
        help="files or folders that are copied into the home of each session, by their path there",
        path=True,
    )
    binds: Mapping[str, Path] = option(
        factory=dict, help="files or folders that sessions see read-only, by their absolute path there", path=True
    )
    env: Mapping[str, str] = option(factory=dict, help="environment variables of the applications")
    limits: Limits = option(Limits(memory_bytes=1024 * MIB, pids=256), help="what one session may take")
    network: Network = option(Network(), help="what sessions reach")
    server: str = option("Xtigervnc", help="the program of TigerVNC's X server")


@frozen(kw_only=True)
class VmConfig:
    """Which machine sessions get, and how they see it."""

    machine: Literal["xvnc", "qemu", "docker", "remote"] = option("xvnc", help="what a desktop runs on")
    width: int = option(1280, help="of the screen, in pixels, where it can be chosen", at_least=64, at_most=8192)
    height: int = option(800, help="of the screen, in pixels, where it can be chosen", at_least=64, at_most=8192)
    xvnc: XvncConfig = option(XvncConfig(), help="for machine: xvnc")
    qemu: QemuConfig = option(QemuConfig(), help="for machine: qemu")
    docker: DockerConfig = option(DockerConfig(), help="for machine: docker")
    remote: RemoteConfig = option(RemoteConfig(), help="for machine: remote")
    layout: Literal["us"] = option("us", help="the keyboard layout of the machine")
    unicode: Literal["auto", "keysym", "clipboard", "none"] = option(
        "auto", help="how characters that no key makes are typed (default: what suits the machine)"
    )
    paste_keys: str = option("ctrl+v", help="the keys by which applications paste, where text is typed by pasting")
    stable_ms: int = option(150, help="the screen is stable after so many milliseconds without a change", at_least=10)
    settle_s: float = option(
        2.0,
        help="seconds that a call which changes the screen waits for it to be stable at most",
        at_least=0.0,
        at_most=60.0,
    )
    exec_timeout_s: float = option(60.0, help="seconds for vm:exec, where it does not say", at_least=0.1, at_most=600.0)
    max_edge: int = option(
        1568, help="a screenshot whose longer edge has more pixels is made smaller, with scale: auto", at_least=64
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a machine that is not told enough."""
        problems = {
            "docker": () if self.docker.image else (Problem("names no image", path="docker.image"),),
            "remote": () if self.remote.host else (Problem("names no host", path="remote.host"),),
        }
        if found := problems.get(self.machine, ()):
            raise ConfigError(list(found))
