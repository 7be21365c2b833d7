"""Commands in a shell that keeps its state: what must hold under every launcher."""

from __future__ import annotations

import pytest


async def test_a_command_is_answered_with_its_outputs_and_exit_code(shells):
    result = await shells.run("echo out; echo err >&2; (exit 7)")
    assert result.ok
    assert (result.data["stdout"], result.data["stderr"], result.data["exit_code"]) == ("out\n", "err\n", 7)
    assert result.text == "out\nstderr:\nerr\nexit code 7"
    assert (await shells.run("true")).text == "(no output)"


async def test_folder_variables_functions_options_and_arguments_stay(shells):
    await shells.out(
        "mkdir -p a/b; cd a/b; export E=1; plain=2; declare -A map; map[k]='v w'; declare -i number=5;"
        " greet() { echo \"hi $1\"; }; set -o noglob; shopt -s extglob; set -- one two; alias ll='ls -l'; umask 027"
    )
    told = await shells.out(
        "echo ${PWD##*/} $E $plain ${map[k]} $number $# $2; greet you; [[ -o noglob ]] && shopt -q extglob && echo set;"
        " alias ll; umask; sh -c 'echo $E$plain'"
    )
    assert told == "b 1 2 v w 5 2 two\nhi you\nset\nalias ll='ls -l'\n0027\n1\n"


@pytest.mark.parametrize("broken", ["if", "if then", "echo 'open", "echo $(", "f( {", "cat <<", "case x in"])
async def test_a_syntax_error_leaves_the_shell_alive(confined, broken):
    await confined.out("kept=1")
    result = await confined.run(broken)
    assert (result.data["exit_code"], result.data["shell_restarted"]) == (2, False)
    assert "syntax error" in result.data["stderr"] or "unexpected" in result.data["stderr"]
    assert await confined.out("echo $kept") == "1\n"


async def test_heredocs_and_many_lines(shells):
    assert (
        await shells.out("cat <<A; cat <<'B'\n$((1 + 1))\nA\n$x\nB\nfor i in 1 2; do\n  echo $i\ndone")
        == "2\n$x\n1\n2\n"
    )
    result = await shells.run("echo first\nno_such_program\necho third")
    assert "line 2: no_such_program: command not found" in result.data["stderr"]
    assert result.data["stdout"] == "first\nthird\n"


async def test_a_command_reads_what_it_is_given_and_else_nothing(shells):
    assert await shells.out("read x; echo $?; cat; stty 2>&1 >/dev/null | grep -c appropriate") == "1\n1\n"
    assert await shells.out("read x; echo $x; cat", stdin="one\ntwo ü") == "one\ntwo ü"
    assert await shells.out("cat | wc -c", stdin="x" * 3_000_000) == "3000000\n"


async def test_a_command_of_a_megabyte(shells):
    text = "x" * 1_000_000
    assert await shells.out(f"x={text}; echo ${{#x}}") == "1000000\n"
    assert (await shells.run("x" * ((1 << 20) + 1))).code == "invalid_argument"


async def test_unicode_and_bytes_that_are_none(shells):
    assert await shells.out("echo 'ü日本語😀'; x='ü'; echo ${#x}") == "ü日本語😀\n1\n"
    result = await shells.run("printf 'a\\xff\\0b\\033[31mred\\033[0m'")
    assert "\x1b" not in result.text
    assert result.data["stdout"].startswith("a\ufffd\0b")
    assert (await shells.run("echo \0")).code == "invalid_argument"


async def test_an_exit_is_told_and_the_next_shell_is_as_the_last_one(shells):
    await shells.out("mkdir -p a; f() { echo f $x; }; declare -A map=([k]=v)")
    result = await shells.run("cd a; export E='a b'; x=1; echo bye; exit 3")
    assert (result.ok, result.data["exit_code"], result.data["shell_restarted"]) == (True, 3, True)
    assert result.data["stdout"] == "bye\n"
    assert "restarted" in result.text
    after = await shells.run("echo ${PWD##*/} $E ${map[k]}; f; sh -c 'echo $E'")
    assert after.data["stdout"] == "a a b v\nf 1\na b\n"
    assert not after.data["shell_restarted"]


async def test_set_e_ends_the_command_at_the_first_failure(shells):
    result = await shells.run("set -e; x=1; echo before; false; echo after")
    assert (result.data["stdout"], result.data["exit_code"], result.data["shell_restarted"]) == ("before\n", 1, True)
    assert await shells.out("[[ $- == *e* ]] && echo $x; set +e") == "1\n"
    assert await shells.out("set -eu; echo on; set +eu; echo ${nothing-off}") == "on\noff\n"


async def test_unset_variables_under_set_u(shells):
    result = await shells.run("set -u; kept=1; echo $nothing; echo after")
    assert (result.data["stdout"], result.data["exit_code"]) == ("", 1)
    assert "unbound variable" in result.data["stderr"]
    assert await shells.out("set +u; echo $kept") == "1\n"


async def test_redirections_of_exec_hold_for_one_command(shells):
    assert await shells.out("exec > file 2>&1; echo hidden; echo trouble >&2") == ""
    assert await shells.out("cat file; echo shown") == "hidden\ntrouble\nshown\n"
    assert await shells.out("exec 5> other; echo kept >&5") == ""
    assert await shells.out("echo more >&5; exec 5>&-; cat other") == "kept\nmore\n"
    assert await shells.out("exec 1>&- 2>&- <&-; echo nothing") == ""
    assert await shells.out("echo again") == "again\n"


async def test_traps_at_the_end_run_at_the_end(shells):
    assert await shells.out("trap 'echo cleaned up' EXIT; echo set") == "set\n"
    assert await shells.out("echo not yet") == "not yet\n"
    result = await shells.run("exit 4")
    assert (result.data["stdout"], result.data["exit_code"]) == ("cleaned up\n", 4)
    assert await shells.out("echo next") == "next\n"
    assert await shells.out("trap 'echo failed' ERR; false; trap - ERR") == "failed\n"
    assert await shells.out("trap 'echo used' USR1; kill -USR1 $$; sleep 0.01") == "used\n"


@pytest.mark.parametrize(
    "name", ["eval", "read", "printf", "trap", "declare", "exec", "pwd", "jobs", "set", "shopt", ":", "return", "local"]
)
async def test_a_function_may_have_the_name_of_a_builtin(confined, name):
    await confined.out(f"{name}() {{ echo mine; }}; kept=1")
    assert await confined.out("echo $kept") == "1\n"
    assert await confined.out(f"{name}; unset -f {name}; echo done") == "mine\ndone\n"
    assert not (await confined.run("echo")).data["shell_restarted"]


async def test_a_shell_without_builtin_begins_anew(confined):
    await confined.out("kept=1")
    assert (await confined.run("builtin() { :; }")).data["shell_restarted"]
    assert await confined.out("echo $kept; type -t builtin") == "1\nbuiltin\n"


async def test_what_leaves_loops_and_functions_leaves_only_the_command(shells):
    result = await shells.run("break; continue 5; echo on; return 6; echo never")
    assert (result.data["stdout"], result.data["exit_code"]) == ("on\n", 6)
    assert (await shells.run("exec sh -c 'echo replaced; exit 5'")).data["exit_code"] == 5
    assert await shells.out("echo there") == "there\n"


async def test_tracing_shows_the_command_and_nothing_of_ours(shells):
    for _ in range(2):
        result = await shells.run("set -x; echo traced")
        assert "agentflow" not in result.data["stderr"]
        assert result.data["stderr"].endswith("+ echo traced\n")
    result = await shells.run("echo again; set +x")
    assert "agentflow" not in result.data["stderr"]
    assert "echo again" in result.data["stderr"]
    assert (await shells.run("echo quiet")).data["stderr"] == ""


async def test_the_last_status_is_known_to_the_next_command(shells):
    await shells.run("(exit 9)")
    assert await shells.out("echo $?") == "9\n"


async def test_a_variable_and_a_folder_for_one_command(shells):
    await shells.out("export A=1; B=2; mkdir -p sub; start=$PWD")
    told = await shells.out(
        "echo $A $B $C ${PWD##*/}; sh -c 'echo $A $B $C'", env={"A": "x", "B": "y z", "C": "'"}, cwd="sub"
    )
    assert told == "x y z ' sub\nx y z '\n"
    assert await shells.out(
        "echo $A $B ${C-none}; sh -c 'echo $A ${B-none}'; [[ $PWD == \"$start\" ]] && echo back"
    ) == ("1 2 none\n1 none\nback\n")
    await shells.out("cd ..; pwd", cwd="sub")
    assert (await shells.run("pwd", cwd="missing")).code == "not_found"
    assert (await shells.run("true", env={"A-B": "1"})).code == "invalid_argument"
    assert (await shells.run("true", env={"UID": "1"})).code == "invalid_argument"


async def test_what_runs_in_the_background_is_not_waited_for_and_not_heard_later(shells):
    result = await shells.run(
        "(while [ ! -e go ]; do sleep 0.01; done; echo late; echo late >&2; echo done > went) & echo now"
    )
    assert result.data["stdout"] == "now\n"
    assert len(result.data["background_jobs"]) == 1
    told = await shells.run("echo mine; > go; while [ ! -s went ]; do sleep 0.01; done; cat went")
    assert (told.data["stdout"], told.data["stderr"]) == ("mine\ndone\n", "")
    assert await shells.out("wait; echo over") == "over\n"


async def test_a_flood_in_the_background_blocks_nobody(shells):
    await shells.out("yes & yes >&2 & true")
    for _ in range(3):
        assert await shells.out("echo mine") == "mine\n"
    await shells.call("restart")
    assert await shells.out("echo mine") == "mine\n"


async def test_a_restart_forgets_all_but_the_files(shells):
    await shells.out("x=1; f() { :; }; cd /; echo kept > ~/file; sleep 600 & true")
    assert (await shells.call("restart")).ok
    result = await shells.run("echo ${x-none}; type -t f || echo none; cat file; jobs -p")
    assert result.data["stdout"] == "none\nnone\nkept\n"


async def test_the_shell_that_is_killed_while_nobody_looks_is_as_it_was(shells):
    await shells.out("x=1; cd /tmp; (while [ ! -e ~/now ]; do sleep 0.01; done; kill -9 $$) & true")
    await shells.out("true")  # what the command before has left is known by now
    await shells.call("write_file", path="now", content="")
    while True:
        result = await shells.run("echo $x $PWD; sleep 0.02")
        if result.data["shell_restarted"]:
            break
    assert await shells.out("echo $x $PWD") == "1 /tmp\n"
