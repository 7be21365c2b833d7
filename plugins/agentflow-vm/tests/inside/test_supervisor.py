"""The supervisor of a desktop, asked directly; its X server is a program that only says that it is one."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from contextlib import contextmanager

import pytest

from agentflow_vm.inside import supervisor
from agentflow_vm.inside.bundle import command

SERVER = 'echo $$ > "$0"; echo 7 > "/proc/self/fd/$2"; exec sleep 600'


@pytest.fixture
def supervised(tmp_path):
    """A supervisor that runs: ``with supervised() as ask``, then ``ask({"op": "run", …}, …)``: the answers by their id."""

    @contextmanager
    def run():
        own = {"authority": str(tmp_path / "own" / "authority"), "log": str(tmp_path / "log")}
        told = {**own, "server": ["/bin/sh", "-c", SERVER, str(tmp_path / "pid")], "manager": [], "env": {}}
        argv = command("xclient", "supervisor", arguments=(json.dumps(told),))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert json.loads(process.stdout.readline()) == {"display": "7"}

            def ask(*asked):
                process.stdin.write(b"".join(json.dumps(each).encode() + b"\n" for each in asked))
                process.stdin.flush()
                answers = [json.loads(process.stdout.readline()) for _ in asked]
                return {answer.pop("id"): answer for answer in answers}

            try:
                yield ask
            finally:
                os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    return run


def shell(number, script, *, timeout_s=30.0, max_bytes=1000):
    argv = ["/bin/sh", "-c", script]
    return {"op": "run", "id": number, "argv": argv, "timeout_s": timeout_s, "max_bytes": max_bytes}


def test_a_command_that_is_stopped_before_it_has_begun_is_killed(supervised):
    with supervised() as ask:
        answers = ask({"op": "stop", "id": 1, "command": 2}, shell(2, "sleep 60 & sleep 60"), shell(3, "echo other"))
        assert (answers[2]["code"], answers[2]["timed_out"]) == (128 + signal.SIGKILL, False)
        assert answers[3]["code"] == 0


def test_all_output_is_kept_or_counted(supervised):
    with supervised() as ask:
        script = "head -c 5000000 /dev/zero; head -c 3000000 /dev/zero >&2"
        told = ask(shell(1, script))[1]
        assert [len(base64.b64decode(told[name])) for name in ("stdout", "stderr")] == [1000, 1000]
        assert told["omitted"] == 8_000_000 - 2000


def test_what_a_command_leaves_behind_is_not_waited_for(supervised):
    with supervised() as ask:
        told = ask(shell(1, "yes &"))[1]
        assert (told["code"], told["timed_out"]) == (0, False)
        ask({"op": "stop", "id": 2, "command": 1})


class Late(supervisor.Output):
    """One whose thread does not get its turn."""

    def drain(self) -> None:
        """Read nothing."""


def test_output_that_no_thread_has_read_yet_is_kept_or_counted():
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as stream:
        os.write(write_end, b"out\n" + bytes(9000))
        assert Late(stream, 4).told(0.0) == (b"out\n", 9000)
        os.close(write_end)
