"""Settings of launchers, and the probes of the doctor."""

from __future__ import annotations

import pytest

from agentflow_core.config import config_schema, load_config
from agentflow_core.errors import ConfigError
from agentflow_core.sandbox.launchers import LauncherConfig, Limits, Network, launcher_of
from agentflow_core.sandbox.launchers.probes import probe_bwrap

pytestmark = pytest.mark.serial


def test_settings_come_from_a_configuration():
    loaded = load_config(LauncherConfig, {"kind": "docker", "image": "python:3.12-slim", "runtime": "runsc"})
    assert launcher_of(loaded.config).name == "docker"
    assert launcher_of(load_config(LauncherConfig, {}).config).name == "bwrap"
    with pytest.raises(ConfigError):
        load_config(LauncherConfig, {"kind": "chroot"})
    assert "uids" in config_schema(LauncherConfig)["properties"]


def test_limits_and_networks_can_stand_in_the_settings_of_a_backend():
    limits = load_config(Limits, {"cpus": 0.5, "pids": 16}).config
    assert (limits.cpus, limits.pids, limits.memory_bytes) == (0.5, 16, 512 << 20)
    assert load_config(Network, {}).config.mode == "off"
    assert load_config(Network, {"mode": "host"}).config.mode == "host"


async def test_the_probe_says_what_holds_the_limits(bwrap):
    works, told = await probe_bwrap()
    assert works
    assert "works" in told
