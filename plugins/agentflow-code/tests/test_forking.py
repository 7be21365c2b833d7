"""A fork: the same cells, a copy of the files, nothing shared."""

from __future__ import annotations

import os

import pytest

from agentflow_core.errors import SandboxError


async def test_a_fork_has_variables_and_files_and_appending_once_is_once(opened):
    async with opened() as sandbox:
        parent = (await sandbox.create_session("code"))["code"].id
        await sandbox.write_file(parent, "given.txt", b"given")

        async def run(code, session):
            return await sandbox.execute("code:run", {"code": code}, session=session)

        await run("x = open('given.txt').read()\nopen('log', 'a').write('once')\n1/0", parent)
        await run("import os\nos.link('log', 'second-name')\nos.symlink('/etc/passwd', 'link')", parent)
        child = (await sandbox.fork(parent)).id
        told = await run(
            "print(x, open('log').read(), open('second-name').read(), os.readlink('link'), sorted(os.listdir()))", child
        )
        assert told.text == "given once once /etc/passwd ['given.txt', 'link', 'log', 'second-name']"
        await run("x = 'changed'\nopen('log', 'w').write('changed')\nNone", child)
        assert (await run("print(x, open('log').read())", parent)).text == "given once"
        await run("import os; os._exit(0)", child)
        assert (await run("open('log').read()", child)).text.endswith("'changed'")


async def test_a_fork_after_a_restart_begins_with_the_files_of_then(opened):
    async with opened(warm=False) as sandbox:
        parent = (await sandbox.create_session("code"))["code"].id
        for code in ("open('kept', 'w').write('kept')", "import os; os._exit(0)", "x = open('kept').read()"):
            await sandbox.execute("code:run", {"code": code}, session=parent)
        child = (await sandbox.fork(parent)).id
        assert (await sandbox.execute("code:run", {"code": "x"}, session=child)).text == "'kept'"


async def test_what_was_interrupted_cannot_be_forked(opened):
    async with opened(warm=False) as sandbox:
        session = (await sandbox.create_session("code"))["code"].id
        await sandbox.execute("code:run", {"code": "while True: pass", "timeout_s": 0.5}, session=session)
        with pytest.raises(SandboxError, match="step 1 of the session was interrupted"):
            await sandbox.fork(session)
        await sandbox.execute("code:reset", {}, session=session)
        assert await sandbox.fork(session)
        assert len(await sandbox.list_sessions()) == 2


async def test_a_cell_that_ends_otherwise_the_second_time_is_no_fork(opened, tmp_path):
    async with opened(kind="none", warm=False) as sandbox:
        session = (await sandbox.create_session("code"))["code"].id
        code = (
            f"import os\nassert not os.path.exists({str(tmp_path / 'once')!r})\nopen({str(tmp_path / 'once')!r}, 'w')"
        )
        await sandbox.execute("code:run", {"code": code}, session=session)
        with pytest.raises(SandboxError, match="does not end as it did"):
            await sandbox.fork(session)
        assert len(os.listdir(next(tmp_path.glob("*/workspaces")))) == 1


async def test_a_workspace_with_hard_links_survives_a_restart(opened):
    async with opened() as sandbox:
        await sandbox.execute("code:run", {"code": "import os\nopen('a', 'w').write('x')\nos.link('a', 'b')"})
        await sandbox.execute("code:run", {"code": "os._exit(0)"})
        assert (await sandbox.execute("code:run", {"code": "open('b').read()"})).text.endswith("'x'")
