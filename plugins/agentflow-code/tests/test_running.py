"""What code:run gives back, in one interpreter that is started plainly, since how it starts makes no difference."""

from __future__ import annotations

import pytest

from agentflow_core.records import ImageContent


@pytest.fixture
async def run(opened):
    async with opened(warm=False) as sandbox:

        async def execute(code, **params):
            return await sandbox.execute("code:run", {"code": code, **params})

        execute.sandbox = sandbox
        yield execute


async def test_variables_and_imports_are_kept_and_the_last_value_is_shown(run):
    first = await run("import math\nx = 6\nprint('printed')\nx * 7")
    assert first.text == "printed\n42"
    assert first.data["stdout"] == "printed\n"
    assert first.data["results"] == [{"kind": "result", "mime": {"text/plain": "42"}}]
    assert first.data["variables"]["new"] == {"x": "int = 6"}
    assert (await run("math.floor(x / 4)")).text == "1"


async def test_new_changed_and_deleted_variables_are_told(run):
    await run("a, b, c = 1, [1], {'k': 1}")
    told = (await run("a = 2\nb.append(3)\ndel c\nd = 'new'")).data["variables"]
    assert told == {
        "new": {"d": "str = 'new'"},
        "changed": {"a": "int = 2", "b": "list of 2"},
        "deleted": ["c"],
    }
    assert (await run("a")).data["variables"] == {"new": {}, "changed": {}, "deleted": []}


async def test_an_error_is_a_success_that_tells_of_it(run):
    result = await run("def half(n):\n    return n / 0\nhalf(3)")
    assert result.ok
    error = result.data["error"]
    assert (error["name"], error["value"]) == ("ZeroDivisionError", "division by zero")
    assert 'File "<cell 1>", line 2, in half' in error["traceback"]
    assert "agentflow" not in error["traceback"]
    assert (await run("def (")).data["error"]["name"] == "SyntaxError"
    assert (await run("import sys; sys.exit(3)")).data["error"]["name"] == "SystemExit"


async def test_stdout_stderr_and_what_children_print_come_apart(run):
    result = await run(
        "import os, subprocess, sys\nprint('out')\nprint('err', file=sys.stderr)\n"
        "subprocess.run(['sh', '-c', 'echo child; echo bad >&2'])\nos.write(1, b'raw\\n')\nNone"
    )
    assert result.data["stdout"] == "out\nchild\nraw\n"
    assert result.data["stderr"] == "err\nbad\n"


async def test_a_table_comes_as_text_and_as_columns_and_rows(run, needed):
    needed("pandas")
    result = await run("import pandas as pd\npd.DataFrame({'city': ['Ulm', None], 'people': [126.5, float('nan')]})")
    (shown,) = result.data["results"]
    assert "Ulm" in shown["mime"]["text/plain"]
    assert "text/html" not in shown["mime"]
    assert [column["name"] for column in shown["table"]["columns"]] == ["city", "people"]
    assert shown["table"]["rows"] == [["Ulm", 126.5], [None, None]]
    assert shown["table"]["row_count"] == 2
    large = await run("pd.DataFrame({'n': range(1000)})")
    assert len(large.data["results"][0]["table"]["rows"]) == 50
    assert large.data["results"][0]["table"]["truncated"]


async def test_plots_are_images_where_they_are_shown(run, needed):
    needed("matplotlib")
    result = await run(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('between')\nplt.figure(); plt.plot([3])\nNone"
    )
    images = [part for part in result.content if isinstance(part, ImageContent)]
    assert [image.mime for image in images] == ["image/png", "image/png"]
    assert all(image.data.startswith(b"\x89PNG") for image in images)
    assert [shown["mime"]["image/png"] for shown in result.data["results"]] == [{"image": 0}, {"image": 1}]
    assert "[image 1]" in result.text
    assert result.data["stderr"] == ""


async def test_plots_come_as_svg_where_that_is_configured(opened, needed):
    needed("matplotlib")
    async with opened(warm=False, plots="svg") as sandbox:
        result = await sandbox.execute("code:run", {"code": "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nNone"})
    (image,) = (part for part in result.content if isinstance(part, ImageContent))
    assert image.mime == "image/svg+xml"
    assert b"<svg" in image.data


async def test_an_image_that_is_none_is_not_passed_on(run):
    result = await run(
        "from IPython.display import display\ndisplay({'image/png': 'bm90IGFuIGltYWdl', 'text/plain': 'fake'}, raw=True)"
    )
    assert not [part for part in result.content if isinstance(part, ImageContent)]
    assert result.text == "fake"


async def test_files_that_a_cell_writes_are_told(run):
    await run("open('kept.txt', 'w').write('1')\nopen('old.txt', 'w').write('1')\nNone")
    result = await run(
        "import os\nopen('kept.txt', 'a').write('2')\nos.remove('old.txt')\nos.mkdir('sub')\nopen('sub/new', 'w').close()"
    )
    assert result.data["files"] == {"new": ["sub/new"], "changed": ["kept.txt"], "deleted": ["old.txt"]}
    assert result.text.endswith("[files: new sub/new, changed kept.txt, deleted old.txt]")


async def test_threads_that_are_left_over_are_counted(run):
    code = "import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait).start()"
    assert (await run(code)).data["threads"] == 1
    assert (await run("stop.set()\nimport time\nwhile threading.active_count() > 1: time.sleep(0.01)")).data[
        "threads"
    ] == 0


async def test_nobody_answers_input(run):
    result = await run("input('name? ')")
    assert result.data["error"]["name"] == "EOFError"


async def test_top_level_await_magics_and_help_work(run):
    assert (await run("import asyncio\nawait asyncio.sleep(0, 'waited')")).text == "'waited'"
    assert (await run("!echo from the shell")).text == "from the shell"
    assert "number of items" in (await run("len?")).text


async def test_odd_text_is_made_encodable(run):
    result = await run("print('a\\0b\\x1b[31mred \\ud800 😀')")
    assert result.text == "a\0bred \\ud800 😀"
    assert (await run("a\0b")).data["error"]["name"] == "SyntaxError"
    assert (await run("")).ok


async def test_a_value_that_cannot_be_shown_is_an_error(run):
    result = await run("class Odd:\n    def __repr__(self):\n        raise ValueError('no repr')\nOdd()")
    assert result.data["error"]["name"] == "ValueError"


async def test_streams_that_a_cell_closes_are_there_again(run):
    await run("import sys\nsys.stdout.close()\nsys.stderr = None")
    assert (await run("import sys\nprint('again')\nprint('too', file=sys.stderr)")).data["stderr"] == "too\n"


async def test_a_fork_that_a_cell_leaves_running_does_not_answer_twice(run):
    await run("import os\npid = os.fork()")
    result = await run("os.waitpid(pid, 0)[1]")
    assert result.text == "0"


async def test_inspect_lists_variables_and_describes_one(run):
    await run('def area(side: float) -> float:\n    """The area of a square."""\n    return side**2\nx = [1, 2]')
    inspect = run.sandbox.execute
    assert (await inspect("code:inspect", {})).text == "area: function area\nx: list of 2"
    told = (await inspect("code:inspect", {"name": "area"})).data
    assert told["signature"] == "(side: float) -> float"
    assert told["doc"] == "The area of a square."
    missing = await inspect("code:inspect", {"name": "areas"})
    assert (missing.code, missing.hint) == ("not_found", "did you mean 'area'?")
    assert (await inspect("code:inspect", {"name": "x.nothing"})).code == "not_found"


async def test_reset_forgets_variables_and_keeps_files(run):
    await run("x = 1\nopen('kept', 'w').write('x')\nNone")
    assert (await run.sandbox.execute("code:reset", {})).ok
    assert (await run("x")).data["error"]["name"] == "NameError"
    assert (await run("open('kept').read()")).text == "'x'"
