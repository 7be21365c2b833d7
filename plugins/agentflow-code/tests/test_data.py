"""Files and databases of a session, its setup, and files that come and go from outside."""

from __future__ import annotations

import pytest

from agentflow_code.config import CodeConfig, DatabaseConfig
from agentflow_code.data import session_data
from agentflow_core.config import load_config
from agentflow_core.errors import ConfigError, SandboxError


@pytest.fixture
def sales(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text("city,sold\nUlm,3\n")
    return path


@pytest.mark.parametrize("kind", ["bwrap", "none"])
async def test_files_and_databases_are_read_in_the_folder_data(opened, sales, tmp_path, kind):
    (tmp_path / "shop.sqlite").write_bytes(b"")
    async with opened(
        kind=kind, warm=False, files={"sales.csv": sales}, databases={"shop": tmp_path / "shop.sqlite"}
    ) as sandbox:
        info = (await sandbox.create_session("code"))["code"]
        assert info.data["databases"] == ["shop"]
        code = "import os\nprint(open('data/sales.csv').read(), sorted(os.listdir('data')))"
        assert (await sandbox.execute("code:run", {"code": code})).text == (
            "city,sold\nUlm,3\n ['sales.csv', 'shop.sqlite']"
        )
        if kind == "bwrap":
            assert info.data["files"] == {"sales.csv": "/data/sales.csv"}
            refused = await sandbox.execute("code:run", {"code": "open('data/sales.csv', 'a')"})
            assert refused.data["error"]["name"] in ("OSError", "PermissionError")


async def test_a_session_chooses_among_what_is_configured(opened, sales):
    async with opened(warm=False, files={"sales.csv": sales, "other.csv": sales}) as sandbox:
        info = (await sandbox.create_session({"code": {"files": ["sales.csv"]}}))["code"]
        assert list(info.data["files"]) == ["sales.csv"]
        with pytest.raises(SandboxError, match=r"did you mean 'sales\.csv'"):
            await sandbox.worker("other").create_session({"code": {"files": ["sale.csv"]}})


async def test_the_setup_runs_first_and_again_after_a_restart_and_a_failing_one_is_told(opened):
    async with opened(warm=False) as sandbox:
        await sandbox.create_session({"code": {"setup": "base = 40"}})
        assert (await sandbox.execute("code:run", {"code": "base + 2"})).text == "42"
        await sandbox.execute("code:run", {"code": "import os; os._exit(0)"})
        assert (await sandbox.execute("code:run", {"code": "base + 2"})).text.endswith("42")
        with pytest.raises(SandboxError, match="ZeroDivisionError"):
            await sandbox.worker("other").create_session({"code": {"setup": "1/0"}})


def test_paths_of_a_session_lie_below_a_root(sales, tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.csv").write_text("x")
    (tmp_path / "inside" / "way-out").symlink_to(sales)
    config = CodeConfig(roots=(tmp_path / "inside",))
    there = session_data(config, {"files": {"a.csv": str(tmp_path / "inside" / "a.csv")}}, same_paths=False)
    assert there.files == {"a.csv": "/data/a.csv"}
    for path in (sales, tmp_path / "inside" / ".." / "sales.csv", tmp_path / "inside" / "way-out", "/etc/shadow"):
        with pytest.raises(SandboxError) as caught:
            session_data(config, {"files": {"a.csv": str(path)}}, same_paths=False)
        assert caught.value.code == "policy_denied"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"file": []}, "did you mean 'files'"),
        ({"files": "sales.csv"}, "list of names"),
        ({"files": {"../x": "/tmp"}}, "is no name"),
        ({"files": {"x": "a\0b"}}, "path"),
        ({"databases": ["nothing"]}, "no 'nothing'"),
        ({"setup": 1}, "setup"),
    ],
)
def test_wrong_settings_name_what_is_wrong(settings, says, sales):
    with pytest.raises(SandboxError, match=says):
        session_data(CodeConfig(files={"sales.csv": sales}), settings, same_paths=False)


def test_a_missing_file_and_two_things_of_one_name_are_refused(sales, tmp_path):
    with pytest.raises(SandboxError, match="does not exist"):
        session_data(CodeConfig(files={"x": tmp_path / "missing"}), {}, same_paths=False)
    config = CodeConfig(files={"sales.csv": sales}, databases={"sales": DatabaseConfig(path=sales)})
    with pytest.raises(SandboxError, match=r"/data/sales\.csv already"):
        session_data(config, {}, same_paths=False)


def test_the_configuration_takes_short_and_long_databases(tmp_path):
    text = "files: {a.csv: data/a.csv}\ndatabases: {shop: shop.sqlite, big: {path: big.duckdb, writable: true}}\n"
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(CodeConfig, tmp_path / "c.yaml").config
    assert config.files["a.csv"] == tmp_path / "data" / "a.csv"
    assert config.databases["shop"] == tmp_path / "shop.sqlite"
    assert config.databases["big"] == DatabaseConfig(path=tmp_path / "big.duckdb", writable=True)
    with pytest.raises(ConfigError, match="either path or url"):
        load_config(CodeConfig, {"databases": {"none": {"writable": True}}})


@pytest.mark.parametrize("kind", ["bwrap", "none"])
async def test_files_are_put_into_the_workspace_and_taken_out(opened, kind):
    async with opened(kind=kind, warm=False) as sandbox:
        session = (await sandbox.create_session("code"))["code"].id
        await sandbox.write_file(session, "in/put.txt", b"from outside")
        code = "text = open('in/put.txt').read()\nopen('in/put.txt', 'w').write(text.upper())\ntext"
        assert (await sandbox.execute("code:run", {"code": code}, session=session)).text.startswith("'from outside'")
        assert await sandbox.read_file(session, "in/put.txt") == b"FROM OUTSIDE"
        with pytest.raises(SandboxError) as caught:
            await sandbox.read_file(session, "nothing")
        assert caught.value.code == "not_found"
