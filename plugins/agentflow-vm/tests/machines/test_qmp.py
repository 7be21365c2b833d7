"""The conversation with QEMU and with the guest's agent, against one that says what a test wants."""

from __future__ import annotations

import json

import anyio
import pytest

from agentflow_core.errors import SandboxError
from agentflow_vm.machines.qmp import Qmp, Refused, connect_beneath


class Scripted:
    """The other end: answers each line by what a function says, in pieces of a few bytes."""

    def __init__(self, answer, first=b""):
        self._answer, self._rest = answer, first
        self.heard = []

    async def send(self, data):
        for line in data.splitlines():
            self.heard.append(line)
            self._rest += self._answer(line)

    async def receive(self, max_bytes=65536):
        await anyio.lowlevel.checkpoint()
        if not self._rest:
            raise anyio.EndOfStream
        part, self._rest = self._rest[:7], self._rest[7:]
        return part


def line(**told):
    return json.dumps(told).encode() + b"\r\n"


def answering(*before, **told):
    """Answer with these lines first, then with the id of the question."""
    return lambda asked: b"".join(before) + line(**(told or {"return": {}}), id=json.loads(asked)["id"])


async def test_a_command_returns_what_is_answered_to_it_whatever_else_is_said():
    other = Scripted(answering(line(event="STOP"), line(id=99, **{"return": "late"}), **{"return": {"a": [1]}}))
    assert await Qmp(other).execute("query", name="x") == {"a": [1]}
    assert json.loads(other.heard[0]) == {"execute": "query", "arguments": {"name": "x"}, "id": 1}


async def test_a_command_that_fails_says_why_and_of_which_kind():
    qmp = Qmp(Scripted(answering(error={"class": "GenericError", "desc": "no such thing"})))
    with pytest.raises(Refused, match="QEMU refused query: no such thing") as caught:
        await qmp.execute("query")
    assert caught.value.kind == "GenericError"


async def test_an_event_that_came_with_an_answer_is_kept():
    qmp = Qmp(Scripted(answering(line(event="A", data={"id": 1}), line(event="A", data={"id": 2, "x": 3}))))
    await qmp.execute("go")
    assert await qmp.event("A", id=2) == {"id": 2, "x": 3}


@pytest.mark.parametrize("error", [{}, {"error": "disk full"}])
async def test_a_job_is_waited_for_and_its_failure_told(error):
    def answer(asked):
        asked = json.loads(asked)
        if asked["execute"] == "query-jobs":
            return line(id=asked["id"], **{"return": [{"id": "other"}, {"id": "j", **error}]})
        told = line(id=asked["id"], **{"return": {}})
        return told + (
            line(event="JOB_STATUS_CHANGE", data={"id": "j", "status": "concluded"})
            * (asked["execute"] == "snapshot-save")
        )

    other = Scripted(answer)
    if error:
        with pytest.raises(Refused, match="QEMU could not snapshot save: disk full"):
            await Qmp(other).job("snapshot-save", "j", tag="t")
    else:
        await Qmp(other).job("snapshot-save", "j", tag="t")
    assert json.loads(other.heard[-1])["execute"] == "job-dismiss"


@pytest.mark.parametrize("said", [b"", b"not json\n", b"[1]\n", b'{"half'])
async def test_what_cannot_be_read_is_a_lost_session(said):
    with pytest.raises(SandboxError) as caught:
        await Qmp(Scripted(lambda _: said)).execute("query")
    assert caught.value.code == "session_lost"


async def test_what_does_not_greet_is_no_qemu():
    with pytest.raises(SandboxError, match="does not greet"):
        await Qmp(Scripted(lambda _: b"", first=line(hello=1))).greet()


async def test_an_agent_is_synchronized_past_what_was_left_half_said():
    other = Scripted(lambda asked: b"\xff" + line(**{"return": 1}), first=b'{"return": {"half')
    qmp = Qmp(other)
    await qmp.synchronize()
    assert other.heard[0].startswith(b"\xff")


async def test_a_link_where_the_socket_should_be_is_not_followed(tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    async with await anyio.create_unix_listener(tmp_path / "real.sock"):
        (folder / "qmp.sock").symlink_to(tmp_path / "real.sock")
        with pytest.raises(OSError, match="is no socket"):
            connect_beneath(folder, "qmp.sock")
