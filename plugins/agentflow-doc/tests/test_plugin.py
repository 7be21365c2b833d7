"""The table of contents, its configuration, and the doctor."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agentflow_core.config import load_config
from agentflow_core.errors import ConfigError
from agentflow_doc.config import DocConfig
from agentflow_doc.doctor import check_formats
from agentflow_doc.finding import find_documents

HEAVY = ("pypdfium2", "pdfplumber", "docx", "pptx", "trafilatura", "PIL", "lxml", "anyio", "rapidfuzz")


def test_importing_the_plugin_imports_nothing_heavy():
    code = f"import sys, agentflow_doc.plugin; print([m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_server_never_imports_what_parses_files():
    code = f"import sys, agentflow_doc.backend; print([m for m in {HEAVY[:7]} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_everything_that_the_plugin_names_is_there(plugin_host):
    import agentflow_doc.plugin

    host = plugin_host(agentflow_doc.plugin)
    entry = host.registry.get("backend", "doc")
    assert entry.resolve().__name__ == "DocBackend"
    assert entry.resolve_config() is DocConfig
    assert entry.resolve_offline().__name__ == "DocPolicy"
    assert type(host.registry.get("metric", "anls").build()).__name__ == "Anls"
    assert type(host.registry.get("metric", "mmlongbench_acc").build()).__name__ == "MMLongBenchAcc"
    assert host.registry.get("metric", "mmlongbench_f1").build().metric == "mmlongbench_acc"


async def test_the_doctor_names_the_formats():
    works, said = await check_formats()
    assert works
    assert "PDF by pypdfium2" in said
    assert "tesseract" in said


@pytest.mark.parametrize("written", ["documents: reports", "documents: [reports, more/*.pdf]"])
def test_documents_of_a_configuration_are_relative_to_its_file(tmp_path, written):
    (tmp_path / "c.yaml").write_text(f"{written}\nlimits: {{pages: 50}}\n")
    config = load_config(DocConfig, tmp_path / "c.yaml").config
    first = config.documents if isinstance(config.documents, str) else config.documents[0]
    assert first == str(tmp_path / "reports")
    assert config.limits.pages == 50


def test_every_problem_of_a_configuration_is_named_with_its_path():
    with pytest.raises(ConfigError) as caught:
        load_config(DocConfig, {"document": "x", "limits": {"pages": 0}, "ocr": {"langages": "eng"}})
    for path in ("document", "limits.pages", "ocr.langages"):
        assert path in str(caught.value)


def test_documents_are_named_by_their_place_below_the_folder(make, tmp_path):
    make.plain("a.pdf", ["one"])
    (make.folder / "sub").mkdir()
    make.plain("sub/b.pdf", ["two"])
    (make.folder / ".hidden.pdf").write_bytes(b"x")
    (make.folder / "notes.txt").write_text("no document")
    outside = tmp_path / "outside.pdf"
    outside.write_bytes(b"x")
    (make.folder / "link.pdf").symlink_to(outside)
    assert [document.name for document in find_documents([str(make.folder)])] == ["a.pdf", "sub/b.pdf"]
    assert [document.name for document in find_documents([f"{make.folder}/**/b.pdf"])] == ["sub/b.pdf"]


def test_documents_of_one_name_are_told_apart(make, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.pdf").write_bytes(b"%PDF")
    found = find_documents([str(tmp_path / "x"), str(tmp_path / "y")])
    assert [document.name for document in found] == ["x/a.pdf", "y/a.pdf"]
