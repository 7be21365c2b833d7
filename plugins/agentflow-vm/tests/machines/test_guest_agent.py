"""The agent in a machine: how its clock is set, whatever it can do."""

from __future__ import annotations

from agentflow_vm.machines.guest_agent import GuestAgent
from agentflow_vm.machines.qmp import Refused


class Agent:
    """Answers what it is told to answer, and refuses the rest."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    async def execute(self, command, **arguments):
        self.asked.append((command, arguments))
        if command not in self.answers:
            raise Refused(f"no {command}")
        return self.answers[command]


def ended(code):
    return {"guest_exec": {"pid": 1}, "guest_exec_status": {"exited": True, "exitcode": code}}


def agent(**answers):
    return Agent(**{name.replace("_", "-"): answer for name, answer in answers.items()})


async def test_a_program_sets_the_clock():
    asked = agent(**ended(0))
    assert await GuestAgent(asked, user="agent", env={}).set_clock(1_700_000_000.5)
    assert asked.asked[0] == ("guest-exec", {"path": "date", "arg": ["-u", "-s", "@1700000000.500"]})


async def test_where_no_program_can_the_agent_itself_sets_the_clock():
    for answers in ({}, ended(1)):
        asked = agent(guest_set_time={}, **answers)
        assert await GuestAgent(asked, user="agent", env={}).set_clock(1_700_000_000.5)
        assert asked.asked[-1] == ("guest-set-time", {"time": 1_700_000_000_500_000_000})


async def test_a_clock_that_cannot_be_set_is_told():
    assert not await GuestAgent(agent(), user="agent", env={}).set_clock(1.0)
