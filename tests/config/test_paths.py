from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

from agentflow_core.config import load_config, load_document, option, plugin_files


@frozen(kw_only=True)
class Paths:
    data: Path | None = option(None, help="a file", path=True)
    pattern: str = option("*", help="a pattern", path=True)
    several: tuple[Path, ...] = option((), help="files", path=True)
    named: Mapping[str, Path] = option({}, help="files by name", path=True)
    text: str = option("", help="no path")


@frozen(kw_only=True)
class Cache:
    folder: Path = option(Path("cache"), help="a folder", path=True)


@frozen(kw_only=True)
class DefaultPaths:
    out: Path = option(Path("out"), help="a folder", path=True)
    several: tuple[Path, ...] = option((Path("a"), Path("-")), help="files", path=True)
    cache: Cache = option(Cache(), help="a section")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that is not the file's folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_relative_paths_start_at_the_files_folder(load, here, tmp_path):
    text = "data: a/b.jsonl\npattern: 'c/*.jsonl'\nseveral: [d, ../e]\nnamed: {f: g}\ntext: h\n"
    assert load(Paths, text, "configs/run.yaml").config == Paths(
        data=tmp_path / "configs/a/b.jsonl",
        pattern=str(tmp_path / "configs/c/*.jsonl"),
        several=(tmp_path / "configs/d", tmp_path / "configs/../e"),
        named={"f": tmp_path / "configs/g"},
        text="h",
    )


def test_a_relative_file_name_gives_absolute_paths(here, write):
    write("data: x", "here/run.yaml")
    assert load_config(Paths, Path("run.yaml")).config.data == here / "x"


def test_paths_from_variables_and_overrides_start_at_the_working_directory(load, here, tmp_path):
    text = "data: ${DIR}/a\npattern: ${NONE:-own}/*\nseveral: ['${ABS}/b', 'c-${DIR}']\n"
    config = load(Paths, text, environ={"DIR": "dir", "ABS": "/abs"}, sets=["named.x=sub/y"]).config
    assert config == Paths(
        data=here / "dir/a",
        pattern=str(tmp_path / "own/*"),
        several=(Path("/abs/b"), tmp_path / "c-dir"),
        named={"x": here / "sub/y"},
    )


def test_paths_of_a_mapping_start_at_the_working_directory(here):
    assert load_config(Paths, {"data": "a", "several": [Path("b")]}).config == Paths(
        data=here / "a", pattern=str(here / "*"), several=(here / "b",)
    )


def test_relative_defaults_start_at_the_working_directory(load, here):
    loaded = load(DefaultPaths, "")
    assert loaded.config == DefaultPaths(
        out=here / "out", several=(here / "a", Path("-")), cache=Cache(folder=here / "cache")
    )
    assert load_config(DefaultPaths, loaded.resolved).config == loaded.config


def test_home_is_expanded_and_standard_input_and_urls_stay(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    config = load(Paths, "data: ~/a\nseveral: ['-', a~b]\npattern: https://host/x.jsonl\n").config
    assert config.data == Path("/home/someone/a")
    assert config.several[0] == Path("-")
    assert config.several[1].name == "a~b"
    assert config.pattern == "https://host/x.jsonl"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("data: ''", "1:7  data  expected a path, got empty text"),
        ("data: 3", "1:7  data  expected a path or null, got the number 3"),
        ('data: "a\\0b"', "1:7  data  a path cannot hold a NUL"),
        ("several: a", "1:10  several  expected a list, got text 'a'; write it as a list: [ … ]"),
    ],
)
def test_what_is_no_path_is_a_problem(problems, text, problem):
    assert problems(Paths, text) == [f"run.yaml:{problem}"]


def test_the_files_of_plugins_are_known_before_anything_else_is_read(write, tmp_path):
    path = write("plugins: {load: [a.py, '${DIR}/b.py']}\nother: wrong\n")
    assert plugin_files(load_document(path), environ={"DIR": "/d"}) == (tmp_path / "a.py", Path("/d/b.py"))
    assert plugin_files(load_document({"plugins": {"load": "a.py"}}), environ={}) == ()
    assert plugin_files(load_document({}), environ={}) == ()
