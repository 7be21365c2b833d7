"""The network of sessions: what a real one reaches through its proxy, what it does not, and what is left of it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import agentflow_core
from agentflow_core.errors import SandboxError
from agentflow_core.sandbox.launchers import LaunchSpec, Network
from agentflow_core.sandbox.launchers.bare import BareLauncher
from agentflow_core.sandbox.launchers.bwrap import BwrapLauncher
from agentflow_core.sandbox.launchers.proxy.namespaces import listener_of
from agentflow_core.sandbox.launchers.proxy.opening import Doors

pytestmark = pytest.mark.serial

#: Asks for addresses in turn, through the proxy that the environment names, and says what came of each.
ASK = r"""
import json, sys, urllib.error, urllib.request
for address in sys.argv[1:]:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            print(json.dumps([answer.status, answer.read().decode()]))
    except urllib.error.HTTPError as error:
        print(json.dumps([error.code, error.read().decode()]))
    except urllib.error.URLError as error:
        print(json.dumps([0, str(error.reason)]))
"""

#: Connects to addresses in turn, past any proxy.
DIAL = r"""
import errno, json, socket, sys
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
        print(json.dumps("reached"))
    except OSError as error:
        print(json.dumps(errno.errorcode.get(error.errno, str(error))))
"""


def python(script, *arguments, **spec):
    return LaunchSpec(argv=("/usr/bin/python3", "-I", "-c", script, *arguments), **spec)


def answers(got):
    assert got.err == ""
    return [json.loads(line) for line in got.out.splitlines()]


@pytest.fixture
def launched(bwrap):
    """A launcher ``bwrap`` that looks names up with this resolver."""

    @asynccontextmanager
    async def open_one(resolver):
        async with BwrapLauncher(resolver=resolver) as launcher:
            yield launcher

    return open_one


@pytest.fixture
def inside(web, names):
    """A name that leads to the web server of this machine, and the network that reaches it."""
    network = Network(allow_hosts=(f"service.test:{web.port}", f"127.0.0.1:{web.port}"))
    return f"http://service.test:{web.port}", network, names({"service.test": ["127.0.0.1"]})


async def test_an_allowed_host_is_reached_by_programs_that_know_of_no_sandbox(launched, inside, web, ran, shell):
    at, network, resolver = inside
    async with launched(resolver) as launcher:
        assert answers(await ran(launcher, python(ASK, f"{at}/x", network=network))) == [
            [200, f"GET /x for service.test:{web.port}"]
        ]
        got = await ran(launcher, shell(f"curl -sS {at}/a && curl -sSp {at}/tunnelled", network=network))
        assert (got.err, got.out.count("GET /")) == ("", 2)
        async with await launcher.start(shell("cat", network=network)) as confined:
            assert confined.enforced["network"] == "proxy"


async def test_other_hosts_are_denied_with_a_reason_that_an_agent_reads(launched, inside, ran):
    at, network, resolver = inside
    asked = ("http://evil.test/", "https://evil.test/", f"{at.replace('service', 'other')}/", "http://169.254.169.254/")
    async with launched(resolver) as launcher:
        http, https, port, metadata = answers(await ran(launcher, python(ASK, *asked, network=network)))
    assert (http[0], json.loads(http[1])["code"], json.loads(http[1])["host"]) == (403, "network_denied", "evil.test")
    assert network.allow_hosts[0] in json.loads(http[1])["message"]
    assert (https[0], "network_denied: evil.test:443 cannot be reached" in https[1]) == (0, True)
    assert (port[0], metadata[0]) == (403, 403)
    assert resolver.asked == []


async def test_a_name_that_leads_inside_or_elsewhere_the_second_time_is_denied(launched, web, names, ran):
    allowed = Network(allow_hosts=("*.test:*", f"127.0.0.1:{web.port}"))
    resolver = names(
        {
            "meta.test": ["169.254.169.254"],
            "rebinds.test": [["127.0.0.1"], ["127.0.0.2"]],
            "both.test": ["10.0.0.1", "127.0.0.1"],
        }
    )
    asked = [f"http://{name}.test:{web.port}/" for name in ("meta", "rebinds", "rebinds", "both")]
    async with launched(resolver) as launcher:
        got = answers(await ran(launcher, python(ASK, *asked, network=allowed)))
    assert [status for status, _ in got] == [403, 200, 403, 200]
    assert resolver.asked == ["meta.test", "rebinds.test", "rebinds.test", "both.test"]
    assert len(web.asked) == 2


async def test_the_inside_of_a_tunnel_is_the_clients_own(launched, names, ran, tmp_path, missing):
    if shutil.which("openssl") is None:
        missing("no openssl: apt-get install openssl")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=secure.test"]
    made += ["-addext", "subjectAltName=DNS:secure.test", "-keyout", tmp_path / "key", "-out", workspace / "ca.pem"]
    await anyio.run_process(list(map(str, made)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(workspace / "ca.pem", tmp_path / "key")

    with context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as server:
        port = server.getsockname()[1]

        def serve():
            with server.accept()[0] as accepted:
                accepted.recv(65536)
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")

        thread = threading.Thread(target=serve)
        thread.start()
        network = Network(allow_hosts=(f"secure.test:{port}", f"127.0.0.1:{port}"))
        async with launched(names({"secure.test": ["127.0.0.1"]})) as launcher:
            env = {"SSL_CERT_FILE": "/workspace/ca.pem"}
            spec = LaunchSpec(
                argv=("/usr/bin/python3", "-c", ASK, f"https://secure.test:{port}/"),
                network=network,
                workspace=workspace,
                env=env,
            )
            assert answers(await ran(launcher, spec)) == [[200, "secret"]]
        thread.join()


async def test_nothing_is_reached_past_the_proxy(launched, inside, web, ran):
    _, network, resolver = inside
    script = DIAL + "print(json.dumps([name for _, name in socket.if_nameindex()]))"
    dialled = (f"127.0.0.1:{web.port}", "192.0.2.1:80", "service.test:80", "127.0.0.1:3128")
    async with launched(resolver) as launcher:
        got = answers(await ran(launcher, python(script, *dialled, network=network)))
    assert got[:2] == ["ECONNREFUSED", "ENETUNREACH"]
    assert got[2] not in ("reached", "ECONNREFUSED")
    assert got[3:] == ["reached", ["lo"]]


async def test_each_session_has_its_own_proxy_and_others_have_none(launched, inside, web, ran, shell):
    at, network, resolver = inside
    async with launched(resolver) as launcher, await launcher.start(shell("cat", network=network)):
        dial = python(DIAL, "127.0.0.1:3128")
        assert answers(await ran(launcher, dial)) == ["ECONNREFUSED"]
        other = python(ASK, at, network=Network(allow_hosts=("pypi.org",)))
        assert [status for status, _ in answers(await ran(launcher, other))] == [403]
        with socket.socket() as here:
            assert here.connect_ex(("127.0.0.1", 3128)) == errno.ECONNREFUSED


async def test_loopback_is_the_sessions_own_and_the_specs_environment_wins(launched, inside, ran, shell):
    _, network, resolver = inside
    script = """
    python3 -m http.server 8000 -b 127.0.0.1 2>/dev/null & until curl -sf http://localhost:8000/ -o /dev/null; do :; done
    env | grep -i _proxy | sort; kill %1"""
    async with launched(resolver) as launcher:
        got = await ran(launcher, shell(script, network=network, env={"ALL_PROXY": "mine"}))
    proxy, none = "http://127.0.0.1:3128", "localhost,127.0.0.1,::1"
    assert sorted(got.out.split()) == sorted(
        [f"{name}={proxy}" for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY")]
        + ["ALL_PROXY=mine", f"no_proxy={none}", f"NO_PROXY={none}"]
    )


async def test_without_allowed_hosts_no_session_hears_of_a_proxy(bwrap, ran, shell):
    for network in (Network(), Network(mode="off", allow_hosts=("pypi.org",))):
        async with await bwrap.start(shell("cat", network=network)) as confined:
            assert confined.enforced["network"] == "namespace"
        assert "roxy" not in (await ran(bwrap, shell("env", network=network))).out


async def test_a_session_that_ends_leaves_no_socket_whatever_it_was_doing(launched, names, shell, nothing_left):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        network = Network(allow_hosts=(f"service.test:{port}", f"127.0.0.1:{port}"))
        script = f"""
        exec 3<>/dev/tcp/127.0.0.1/3128 4<>/dev/tcp/127.0.0.1/3128 5<>/dev/tcp/127.0.0.1/3128
        printf 'GET http://' >&4
        printf 'CONNECT service.test:{port} HTTP/1.1\\r\\n\\r\\n' >&3; read -r line <&3; echo "$line"; read || sleep 1000"""
        async with launched(names({"service.test": ["127.0.0.1"]})) as launcher:
            before = len(os.listdir("/proc/self/fd"))
            for end in ("kill", "close", "exit"):
                async with await launcher.start(shell(script, network=network)) as confined:
                    assert (await confined.stdout.receive()).startswith(b"HTTP/1.1 200")
                    assert len(os.listdir("/proc/self/fd")) > before + 6
                    if end == "kill":
                        await confined.kill()
                    if end == "exit":
                        await confined.stdin.send(b"\n")
                        await confined.wait()
                assert len(os.listdir("/proc/self/fd")) == before, end
            confined = await launcher.start(shell(script, network=network))
            assert (await confined.stdout.receive()).startswith(b"HTTP/1.1 200")
        await confined.aclose()
    assert nothing_left() == []


async def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing(launched, inside, shell, nothing_left):
    _, network, resolver = inside
    async with launched(resolver) as launcher:
        async with await launcher.start(shell("exec sleep 1000", network=network)):
            pass
        before = len(os.listdir("/proc/self/fd"))
        for moment in range(12):
            with anyio.move_on_after(moment * 0.001):
                async with await launcher.start(shell("exec sleep 1000", network=network)):
                    pass
            assert len(os.listdir("/proc/self/fd")) == before, moment
    assert nothing_left() == []


async def test_where_no_proxy_can_stand_the_session_does_not_start(bwrap, shell, nothing_left):
    for pid, is_it in ((os.getpid(), None), (os.getppid(), lambda _: False), (0, None)):
        with pytest.raises(SandboxError) as caught:
            listener_of(pid, 3128, is_it=is_it)
        assert (caught.value.code, "network: {mode: off}" in caught.value.hint) == ("unsupported", True)

    class NoDoors(Doors):
        async def inside(self, pid, network, *, is_it=None):
            return self._proxy(listener_of(os.getpid(), 3128), network)

    async with BwrapLauncher() as launcher:
        launcher._doors = NoDoors()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(SandboxError, match="the network of this process"):
            await launcher.start(shell("exec sleep 1000", network=Network(allow_hosts=("a.test",))))
        assert len(os.listdir("/proc/self/fd")) == before
    assert nothing_left() == []


async def test_no_program_inside_can_take_the_proxys_place(launched, inside, ran):
    _, network, resolver = inside
    take = """
import socket
for host in ("127.0.0.1", "0.0.0.0"):
    try:
        socket.create_server((host, 3128), reuse_port=True)
    except OSError as error:
        print(error.errno)
"""
    async with launched(resolver) as launcher:
        got = await ran(launcher, python(take, network=network))
    assert got.out == f"{errno.EADDRINUSE}\n" * 2


async def test_the_launcher_none_has_a_proxy_and_says_that_nothing_holds_to_it(web, names, ran, workspace):
    network = Network(allow_hosts=(f"service.test:{web.port}", f"127.0.0.1:{web.port}"))
    resolver = names({"service.test": ["127.0.0.1"]})
    asked = (f"http://service.test:{web.port}/x", "http://evil.test/")
    async with BareLauncher(resolver=resolver) as launcher:
        got = answers(await ran(launcher, python(ASK, *asked, network=network)))
        assert [status for status, _ in got] == [200, 403]
        async with await launcher.start(python("input()", network=network)) as confined:
            assert confined.enforced["network"] == "none"


def test_it_works_for_a_server_that_is_not_root(web, missing):
    if os.geteuid() != 0:
        pytest.skip("all other tests show it")
    for tool in ("unshare", "mount", "setpriv", "bwrap"):
        if shutil.which(tool) is None:
            missing(f"no {tool}: apt-get install bubblewrap util-linux mount")
    with tempfile.TemporaryDirectory(prefix="agentflow-test-") as name:
        base = Path(name)
        base.chmod(0o755)
        # what the other user runs with may stand where only root can go: it is shown elsewhere, for this process alone
        shown = {"python": sys.base_prefix, "source": Path(agentflow_core.__file__).parent.parent}
        shown |= {f"site{index}": path for index, path in enumerate(sys.path) if path.endswith("site-packages")}
        mounts = []
        for folder, source in shown.items():
            (base / folder).mkdir()
            mounts.append(f"mount --bind '{source}' '{base / folder}'")
        (base / "tmp").mkdir()
        os.chown(base / "tmp", UID, UID)
        path = ":".join(str(base / folder) for folder in shown if folder != "python")
        command = [
            *("unshare", "--mount", "--propagation", "private", "sh", "-ec", "; ".join([*mounts, 'exec "$@"']), "sh"),
            *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "env", "-i"),
            *(
                f"PYTHONPATH={path}",
                f"LD_LIBRARY_PATH={base / 'python' / 'lib'}",
                f"TMPDIR={base / 'tmp'}",
                "PATH=/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE=1",
            ),
            *(base / "python" / "bin" / f"python3.{sys.version_info.minor}", "-c", _SERVER, str(web.port), ASK, DIAL),
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        uid, enforced, allowed, denied, direct, left = map(json.loads, done.stdout.splitlines())
    assert (uid, enforced["network"], enforced["uid"]) == (UID, "proxy", "shared")
    assert (allowed[0], denied[0], direct, left) == (200, 403, "ECONNREFUSED", 0)


UID = 61_000

_SERVER = """
import json, os, sys, anyio
from agentflow_core.sandbox.launchers import LaunchSpec, Network
from agentflow_core.sandbox.launchers.bwrap import BwrapLauncher
port, ask, dial = sys.argv[1:]

async def resolver(name):
    return ["127.0.0.1"]

async def main():
    network = Network(allow_hosts=(f"service.test:{port}", f"127.0.0.1:{port}"))
    asked = (f"http://service.test:{port}/x", "http://evil.test/")
    print(os.geteuid())
    async with BwrapLauncher(resolver=resolver) as launcher:
        before = len(os.listdir("/proc/self/fd"))
        argv = ("/usr/bin/python3", "-I", "-c", ask, *asked)
        async with await launcher.start(LaunchSpec(argv=argv, network=network)) as confined:
            print(json.dumps(confined.enforced))
            print((await confined.stdout.read_all()).decode(), end="")
            await confined.wait()
        argv = ("/usr/bin/python3", "-I", "-c", dial, f"127.0.0.1:{port}")
        async with await launcher.start(LaunchSpec(argv=argv, network=network)) as confined:
            print((await confined.stdout.read_all()).decode(), end="")
        print(len(os.listdir("/proc/self/fd")) - before)

anyio.run(main)
"""
