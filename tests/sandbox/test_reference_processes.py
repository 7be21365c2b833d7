"""The reference backend with processes keeps every law under each launcher, and what it says of itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_core.sandbox.launchers import LauncherConfig
from agentflow_core.testing.conformance import BackendConformance
from agentflow_core.testing.process_subjects import HOSTILE, SMALL, process_subject
from agentflow_core.testing.processes import ProcessBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agentflow_core.records import ToolResult

LAUNCHERS = {
    "bwrap": LauncherConfig(kind="bwrap"),
    "docker": LauncherConfig(kind="docker", image="agentflow-test:1"),
    "none": LauncherConfig(kind="none"),
}


@pytest.fixture(scope="module")
def bwrap(missing) -> None:
    """Bubblewrap is installed."""
    if shutil.which("bwrap") is None:
        missing("no bubblewrap: apt-get install bubblewrap")


@pytest.fixture(scope="module")
def docker(docker_engine) -> Iterator[None]:
    """A Docker engine with the image runs; no container is left."""
    assert docker_engine.image == LAUNCHERS["docker"].image
    yield
    assert docker_engine.client.containers.list(all=True, filters={"label": "agentflow.session"}) == []


@pytest.mark.usefixtures("bwrap")
class TestUnderBubblewrap(BackendConformance):
    subject = process_subject(LAUNCHERS["bwrap"])


@pytest.mark.serial
@pytest.mark.usefixtures("docker")
class TestUnderDocker(BackendConformance):
    subject = process_subject(LAUNCHERS["docker"])


class TestUnconfined(BackendConformance):
    subject = process_subject(LAUNCHERS["none"])


CONFINING = ("bwrap", pytest.param("docker", marks=pytest.mark.serial))


@pytest.fixture(params=[*CONFINING, "none"])
def launcher(request) -> LauncherConfig:
    """Each launcher."""
    if request.param != "none":
        request.getfixturevalue(request.param)
    return LAUNCHERS[request.param]


class Shells:
    """The sandbox with the reference backend."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def run(self, command: str, **options: Any) -> ToolResult:
        return await self.sandbox.execute("shell:run", {"command": command}, **options)

    async def text(self, command: str, **options: Any) -> str:
        result = await self.run(command, **options)
        assert result.ok, result.text
        return result.text

    async def set(self, name: str, value: str) -> ToolResult:
        return await self.sandbox.execute("shell:set", {"name": name, "value": value})


@pytest.fixture
async def shells(launcher, tmp_path) -> AsyncIterator[Shells]:
    config = SandboxConfig(launcher=launcher, state_dir=tmp_path)
    backend = lambda: ProcessBackend(SMALL, output_bytes=50_000)  # noqa: E731
    async with Sandbox(catalog=Catalog.of(shell=backend), config=config) as sandbox:
        yield Shells(sandbox)


async def test_a_command_is_answered_with_its_output_and_exit_code(shells):
    result = await shells.run("echo out; echo err >&2; exit 7")
    assert (result.ok, result.data, result.text) == (True, {"exit_code": 7}, "out\nerr\n\nexit code 7")
    assert await shells.text("cat; printf 'end'") == "end"
    assert await shells.text("echo '") == "sh: 1: Syntax error: Unterminated quoted string\n\nexit code 2"


async def test_variables_hold_any_text_and_files_stay(shells):
    value = 'it\'s "here"\n $HOME `id` \\n *\n\n'
    assert (await shells.set("VALUE", value)).ok
    assert (await shells.set("VALUE", value)).ok
    assert await shells.text('printf %s "$VALUE"') == value
    written = await shells.sandbox.execute("shell:write", {"path": "a/b c", "text": value})
    assert written.ok
    assert (await shells.sandbox.execute("shell:read", {"path": "a/b c"})).text == value
    assert (await shells.sandbox.execute("shell:read", {"path": "none"})).code == "not_found"
    assert (await shells.sandbox.execute("shell:write", {"path": "a", "text": "x"})).code == "conflict"


@pytest.mark.parametrize(
    ("tool", "params", "field"),
    [
        ("run", {"command": "echo \0"}, "command"),
        ("set", {"name": "A B", "value": ""}, "name"),
        ("set", {"name": "A\n", "value": ""}, "name"),
        ("write", {"path": "\0", "text": ""}, "path"),
    ],
)
async def test_what_cannot_be_sent_is_refused_by_name(shells, tool, params, field):
    result = await shells.sandbox.execute(f"shell:{tool}", params)
    assert result.code == "invalid_argument"
    assert field in result.message


async def test_a_command_that_is_stopped_leaves_variables_files_and_earlier_output(shells):
    await shells.set("VALUE", "kept")
    await shells.text("echo kept > file")
    stopped = await shells.run("setsid sleep 600 & trap '' TERM; sleep 600", timeout_s=0.3)
    assert stopped.code == "timeout"
    assert await shells.text('echo "$VALUE"; cat file') == "kept\nkept\n"


async def test_what_runs_in_the_background_goes_on_until_the_session_is_closed(shells):
    await shells.text("(while :; do sleep 0.01; echo x >> ticks; done) > /dev/null 2>&1 &")
    session = (await shells.sandbox.list_sessions())[0]
    before = len(await shells.text("until test -s ticks; do sleep 0.01; done; cat ticks"))
    after = await shells.text(f"until test $(wc -c < ticks) -gt {before}; do sleep 0.01; done; echo more")
    assert after == "more\n"
    await shells.sandbox.close_session(session.id)


async def test_a_long_output_is_cut_and_said_to_be(shells):
    result = await shells.run("yes | head -c 60000")
    assert result.code == "output_limit"
    assert result.text.count("y\n") == 25_000


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("memory bomb", "memory_limit"),
        ("disk bomb", "disk_limit"),
        ("fork bomb", "pids_limit"),
        ("output bomb", "output_limit"),
    ],
)
@pytest.mark.parametrize("launcher", CONFINING, indirect=True)
async def test_limits_are_told_by_their_codes(shells, what, code):
    assert (await shells.run("echo started")).ok
    result = await shells.run(HOSTILE[what], timeout_s=20)
    if code == "pids_limit" and result.ok:  # the bomb left the command: it is found before the next one
        result = await shells.run("echo next")
    assert result.code == code, result.text


@pytest.mark.parametrize("launcher", CONFINING, indirect=True)
async def test_a_session_that_ends_is_lost_and_the_next_call_has_a_new_one(shells):
    await shells.set("VALUE", "gone")
    first = (await shells.run("echo 0123456789abcdef 0 0 9 > /control/replies", timeout_s=5)).code
    assert first == "session_lost"
    assert await shells.text('echo "$VALUE"') == "\n"


async def test_a_fork_has_files_and_variables_and_nothing_that_links_lead_to(shells, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    await shells.set("VALUE", "both")
    await shells.text(f"mkdir a; echo file > a/file; ln -s {secret} link; mkfifo pipe; ln a/file hard")
    await shells.text("(while :; do sleep 0.01; echo x >> ticks; done) > /dev/null 2>&1 &")
    (parent,) = await shells.sandbox.list_sessions()
    child = await shells.sandbox.fork(parent.id)
    seen = await shells.text('echo "$VALUE"; cat a/file hard; test -e pipe || echo no pipe', session=child.id)
    assert seen == "both\nfile\nfile\nno pipe\n"
    (copied,) = (path for path in (tmp_path / "workspaces").iterdir() if path.name.startswith(f"{child.id}-"))
    assert os.readlink(copied / "link") == str(secret)
    ticks = await shells.text("wc -c < ticks", session=parent.id)
    await shells.text(f"until test $(wc -c < ticks) -gt {ticks.strip()}; do sleep 0.01; done", session=parent.id)


async def test_a_fork_of_more_than_the_disk_limit_is_refused(shells):
    await shells.text("head -c 10000000 /dev/zero > one; cat one > two")
    (parent,) = await shells.sandbox.list_sessions()
    with pytest.raises(SandboxError) as caught:
        await shells.sandbox.fork(parent.id)
    assert caught.value.code == "disk_limit"
    assert len(await shells.sandbox.list_sessions()) == 1


async def test_a_launcher_that_cannot_open_is_told_before_the_first_session(tmp_path):
    config = SandboxConfig(launcher=LauncherConfig(kind="bwrap", folder=Path("/proc/none")), state_dir=tmp_path)
    async with Sandbox(catalog=Catalog.of(shell=ProcessBackend), config=config) as sandbox:
        with pytest.raises(SandboxError) as caught:
            await sandbox.warmup()
        assert caught.value.code == "provider_unavailable"


def test_the_subject_is_tried_on_more_where_the_launcher_holds_more():
    confined, bare = (process_subject(LAUNCHERS[kind]).canaries for kind in ("bwrap", "none"))
    assert {"files", "variables", "ports"} <= confined.keys()
    assert "ports" not in bare
