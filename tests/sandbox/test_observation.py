"""A result becomes the observation that is stored."""

from __future__ import annotations

from agentflow_core.blobs import BlobStore
from agentflow_core.records import Artifact, ImageContent, TextContent, ToolResult, Truncation
from agentflow_core.sandbox import observation_of


def test_a_short_text_is_whole_and_not_stored_twice():
    seen = observation_of(ToolResult.success({"n": 1}, text="one"), None)
    assert (seen.ok, seen.code, seen.data, seen.text, seen.shown, seen.blobs) == (True, "ok", {"n": 1}, "one", None, ())


def test_a_long_text_is_whole_and_what_was_shown_beside_it():
    seen = observation_of(ToolResult.success(text="x" * 50_000), None)
    assert len(seen.text) == 50_000
    assert seen.shown is not None
    assert "bytes omitted" in seen.shown


def test_a_failure_says_its_code_message_and_hint():
    seen = observation_of(ToolResult.failure("not_found", "no such file", hint="look around"), None)
    assert (seen.ok, seen.code, seen.text) == (False, "not_found", "error [not_found]: no such file\nlook around")


def test_images_and_artifacts_are_named_by_hash(tmp_path):
    blobs = BlobStore(tmp_path)
    known = blobs.put(b"known")
    result = ToolResult(
        content=(
            TextContent("see"),
            ImageContent(mime="image/png", data=b"png"),
            ImageContent(mime="image/png", data=b"png"),
            ImageContent(mime="image/png", sha256=known),
        ),
        artifacts=(
            Artifact(sha256="a" * 64, mime="text/csv", bytes=3),
            Artifact(sha256="b" * 64, mime="text/plain", bytes=9),
        ),
        truncation=Truncation(bytes_total=9, bytes_kept=3, artifact="b" * 64),
    )
    seen = observation_of(result, blobs)
    assert len(seen.blobs) == 3
    assert blobs.get(seen.blobs[0]) == b"png"
    assert seen.blobs[1:] == (known, "a" * 64)
    assert observation_of(result, None).blobs == (known, "a" * 64)
