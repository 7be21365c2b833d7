"""Sessions in containers of a real engine, which is started for the tests where none runs; few, since each takes a while."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import Bind, LauncherConfig, LaunchSpec, Network, Taken, launcher_of, reap
from agentflow_core.sandbox.launchers.docker import DockerLauncher
from agentflow_core.sandbox.launchers.docker_gate import check_proxied
from agentflow_core.sandbox.launchers.probes import probe_docker

pytestmark = pytest.mark.serial

IMAGE = "agentflow-test:1"


@pytest.fixture(scope="session")
def engine(docker_engine):
    """The client of an engine that has `IMAGE`."""
    assert docker_engine.image == IMAGE
    return docker_engine.client


@pytest.fixture
async def docker(engine):
    async with launcher_of(LauncherConfig(kind="docker", image=IMAGE)) as launcher:
        yield launcher
        assert engine.containers.list(all=True, filters={"label": "agentflow.session"}) == []


async def test_a_command_runs_in_a_container_with_pipes_and_a_clean_environment(
    docker, ran, shell, workspace, tmp_path
):
    (tmp_path / "f").write_text("bound\n")
    script = """
    cat; echo err >&2; pwd; hostname; id -u; echo $HOME $CANARY $DOCKER_HOST; cat /data/f; echo new > new
    for f in / /bin /control /data /proc/sys/kernel/core_pattern /tmp /workspace; do test -w $f && echo writable $f; done
    ls -d /sys/class/net/*; test -e /var/run/docker.sock && echo docker; exit 7"""
    binds = (Bind(source=tmp_path / "f", target="/data/f"),)
    got = await ran(docker, shell(script, workspace=workspace, env={"CANARY": "c"}, binds=binds), stdin=b"in ")
    uid = os.geteuid() or LauncherConfig().first_uid
    assert got.out.split() == [
        *("in", "/workspace", "agentflow", str(uid), "/workspace", "c", "bound"),
        *("writable", "/tmp", "writable", "/workspace", "/sys/class/net/lo"),
    ]
    assert (got.err, got.ended.reason, got.ended.returncode) == ("err\n", "exit", 7)
    assert (workspace / "new").read_text() == "new\n"


async def test_the_control_folder_signals_usage_and_kill(docker, shell, uids_of):
    script = """
    trap 'echo interrupted' INT; setsid sleep 1000 & echo $$
    exec 3<>/control/commands; while true; do read -r line <&3 && echo "got $line" > /control/replies; done"""
    async with await docker.start(shell(script)) as confined:
        pid = int(await confined.stdout.receive())
        await confined.control.commands.send(b"one\n")
        assert await confined.control.replies.receive() == b"got one\n"
        assert await confined.signal(pid, signal.SIGINT)
        assert await confined.stdout.receive() == b"interrupted\n"
        assert not await confined.signal(4242, signal.SIGINT)
        used = await confined.usage()
        assert used.pids >= 2
        assert confined.enforced["memory"].startswith("cgroup-v")
        await confined.kill()
        assert confined.ended is not None
        assert confined.ended.reason == "killed"
        assert uids_of(confined.pid) == set()


async def test_the_memory_limit_is_told_from_a_kill(docker, ran, shell, small):
    got = await ran(docker, shell("exec tail /dev/zero", limits=small))
    assert (got.ended.reason, got.ended.returncode) == ("oom", 137)


async def test_a_workspace_that_outgrows_its_limit_ends_the_session(docker, ran, shell, small, workspace):
    script = "for i in 1 2 3; do head -c 10M /dev/zero > f$i; done; exec sleep 1000"
    assert (await ran(docker, shell(script, limits=small, workspace=workspace))).ended.reason == "disk"


async def test_cancelled_starts_and_closed_launchers_leave_nothing(docker, shell, engine, nothing_left):
    for moment in (0.01, 0.1, 0.2):
        with anyio.move_on_after(moment):
            async with await docker.start(shell("exec sleep 1000")):
                pass
    async with launcher_of(LauncherConfig(kind="docker", image=IMAGE)) as other:
        confined = await other.start(shell("exec sleep 1000"))
    assert (await confined.wait()).reason == "killed"
    await confined.aclose()
    assert engine.containers.list(all=True) == []
    assert [each for each in nothing_left() if not each.startswith("fd")] == []


async def test_allowed_hosts_are_reached_through_a_proxy_at_the_containers_door(engine, web, names, ran, shell):
    if os.geteuid() != 0:
        pytest.skip("only root enters a container's network")
    resolver = names({"service.test": ["127.0.0.1"], "inside.test": ["169.254.169.254"]})
    network = Network(allow_hosts=(f"service.test:{web.port}", f"127.0.0.1:{web.port}", "inside.test"))
    script = f"""
    ask() {{ exec 3<>/dev/tcp/127.0.0.1/3128; printf "$1 HTTP/1.1\\r\\n\\r\\n" >&3; head -n 1 <&3; }}
    ask "GET http://service.test:{web.port}/x"; ask "GET http://inside.test/"; ask "CONNECT evil.test:443"
    (exec 4<>/dev/tcp/127.0.0.1/{web.port}) 2>/dev/null || echo refused
    echo $http_proxy; cat; exit 5"""
    before = len(os.listdir("/proc/self/fd"))
    async with DockerLauncher(image=IMAGE, resolver=resolver) as launcher:
        got = await ran(launcher, shell(script, network=network), stdin=b"in")
        async with await launcher.start(shell("cat", network=network)) as confined:
            assert confined.enforced["network"] == "proxy"
        got_none = await ran(launcher, LaunchSpec(argv=("/no/such/program",), network=network))
    allowed, inside, evil, direct, proxy, stdin = got.out.splitlines()
    assert (allowed, direct, proxy, stdin) == ("HTTP/1.1 200 OK", "refused", "http://127.0.0.1:3128", "in")
    assert inside.startswith("HTTP/1.1 403 network_denied: inside.test:80")
    assert evil.startswith("HTTP/1.1 403 network_denied: evil.test:443")
    assert (got.err, got.ended.returncode, resolver.asked) == ("", 5, ["service.test", "inside.test"])
    assert (got_none.ended.returncode, "/no/such/program" in got_none.err) == (127, True)
    assert len(os.listdir("/proc/self/fd")) == before
    assert engine.containers.list(all=True) == []


async def test_a_start_with_allowed_hosts_that_is_cancelled_leaves_nothing(docker, shell, engine, nothing_left):
    for moment in (0.05, 0.15, 0.25):
        with anyio.move_on_after(moment):
            async with await docker.start(shell("exec sleep 1000", network=Network(allow_hosts=("a.test",)))):
                pass
    assert engine.containers.list(all=True) == []
    assert [each for each in nothing_left() if not each.startswith("fd")] == []


def test_a_runtime_with_a_network_of_its_own_kind_has_no_proxy():
    with pytest.raises(SandboxError) as caught:
        check_proxied("runsc")
    assert caught.value.code == "unsupported"


async def test_what_a_killed_server_left_is_reaped(docker, shell, engine):
    container = engine.containers.run(IMAGE, ["sleep", "1000"], name="agentflow-left", detach=True, network_mode="none")
    taken = Taken(session="agentflow-left", launcher="docker", container=container.name)
    await reap(taken)
    await reap(taken)
    assert engine.containers.list(all=True) == []


async def test_what_it_cannot_do_is_said(engine, docker):
    with pytest.raises(SandboxError) as caught:
        await docker.start(LaunchSpec(argv=("true",), pass_fds=(3,)))
    assert caught.value.code == "unsupported"
    with pytest.raises(SandboxError) as caught:
        await docker.start(LaunchSpec(argv=("/no/such/program",)))
    assert "/no/such/program" in str(caught.value)
    with pytest.raises(SandboxError, match="docker pull no-such-image") as caught:
        async with launcher_of(LauncherConfig(kind="docker", image="no-such-image:1")):
            pass
    assert caught.value.code == "provider_unavailable"
    assert (await probe_docker())[0]


async def test_without_an_engine_the_error_says_how_to_get_one(monkeypatch, tmp_path, needed):
    needed("docker")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxError, match=r"apt-get install docker\.io") as caught:
        async with launcher_of(LauncherConfig(kind="docker", image=IMAGE)):
            pass
    assert caught.value.code == "provider_unavailable"
    assert not (await probe_docker())[0]


def test_an_image_has_to_be_named():
    with pytest.raises(SandboxError, match="image"):
        launcher_of(LauncherConfig(kind="docker"))
