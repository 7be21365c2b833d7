"""Turn what the interpreter answered to a cell into the result of ``code:run``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from agentflow_core.records import ImageContent, TextContent, ToolResult, clean_json, clean_text

if TYPE_CHECKING:
    from agentflow_code.interpreter import Answer

__all__ = ["cell_result", "inspected"]

_SIGNATURES: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_SVG: Final = "image/svg+xml"


def cell_result(answer: Answer, failure: ToolResult | None, note: str) -> ToolResult:
    """The result of a cell; what the interpreter says is checked, since its user can make it say anything.

    A cell that raises is a success that tells of an error; ``failure`` is what to answer where it did not end.
    """
    reply = answer.reply or {}
    images: list[ImageContent] = []
    results = [_bundle(each, images) for each in _list(reply.get("results")) if isinstance(each, Mapping)]
    error = reply.get("error") if isinstance(reply.get("error"), Mapping) else None
    data: dict[str, Any] = {
        "stdout": answer.stdout.text,
        "stderr": answer.stderr.text,
        "output_omitted_bytes": answer.stdout.omitted + answer.stderr.omitted,
        "results": results,
        "error": None if error is None else {key: str(error.get(key, "")) for key in ("name", "value", "traceback")},
        "variables": _changes(reply.get("variables"), dict),
        "files": _changes(reply.get("files"), list),
        "threads": reply.get("threads") if isinstance(reply.get("threads"), int) else 0,
        "restarted": bool(note),
    }
    text = _text(data, note)
    if failure is None:
        return ToolResult.success(data, text=text, content=images)
    told = {**data, **(failure.data or {}), "timed_out": answer.timed_out}
    parts = (TextContent(clean_text(text)),) if text else ()
    return evolve(failure, data=clean_json(told), content=(*parts, *images))


def _bundle(bundle: Mapping[str, Any], images: list[ImageContent]) -> dict[str, Any]:
    """The bundle with its images taken out; they are named by their place among the result's content."""
    mime = bundle.get("mime") if isinstance(bundle.get("mime"), Mapping) else {}
    assert isinstance(mime, Mapping)
    kept: dict[str, Any] = {}
    for kind, value in mime.items():
        image = _image(str(kind), value)
        if image is not None:
            images.append(image)
            kept[str(kind)] = {"image": len(images) - 1}
        elif not str(kind).startswith("image/"):
            kept[str(kind)] = value
    told: dict[str, Any] = {"kind": "result" if bundle.get("kind") == "result" else "display", "mime": kept}
    if isinstance(bundle.get("table"), Mapping):
        told["table"] = bundle["table"]
    return told


def _image(kind: str, value: Any) -> ImageContent | None:
    if not isinstance(value, str):
        return None
    if kind == _SVG:
        return ImageContent(mime=kind, data=value.encode("utf-8", "replace")) if "<svg" in value[:4096] else None
    signature = _SIGNATURES.get(kind)
    if signature is None:
        return None
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return ImageContent(mime=kind, data=data) if data.startswith(signature) else None


def _changes(value: Any, kind: type[dict[str, Any]] | type[list[str]]) -> dict[str, Any]:
    """What is new and changed, as one kind of thing or the other, and the list of what is gone."""
    told = value if isinstance(value, Mapping) else {}
    kinds = {"new": kind, "changed": kind, "deleted": list}
    return {name: told[name] if isinstance(told.get(name), made) else made() for name, made in kinds.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(data: Mapping[str, Any], note: str) -> str:
    """What a model reads: the note, stdout, what was shown, stderr, the error, and the files that changed."""
    parts = [note] if note else []
    if data["stdout"]:
        parts.append(data["stdout"].rstrip("\n"))
    for each in data["results"]:
        mime = each["mime"]
        named = next((f"[image {place['image'] + 1}]" for kind, place in mime.items() if kind.startswith("image/")), "")
        plain = mime.get("text/plain")
        said = plain if isinstance(plain, str) else ""
        parts.append(" ".join(part for part in (named, said) if part) or f"[{', '.join(mime)}]")
    if data["stderr"]:
        parts.append(f"stderr:\n{data['stderr'].rstrip(chr(10))}")
    if data["error"]:
        parts.append((data["error"]["traceback"] or f"{data['error']['name']}: {data['error']['value']}").rstrip("\n"))
    changed = [f"{name} {path}" for name in ("new", "changed", "deleted") for path in data["files"][name]]
    if changed:
        parts.append(f"[files: {', '.join(map(str, changed[:20]))}{', …' if len(changed) > 20 else ''}]")
    return "\n".join(parts)


def inspected(value: Any) -> ToolResult:
    """The result of ``code:inspect``."""
    told = value if isinstance(value, Mapping) else {}
    if isinstance(variables := told.get("variables"), Mapping):
        lines = [f"{name}: {said}" for name, said in variables.items()]
        return ToolResult.success(told, text="\n".join(lines) or "no variables yet")
    lines = [f"{told.get('name')}: {told.get('summary')}", str(told.get("value", ""))]
    if signature := told.get("signature"):
        lines.append(f"signature: {told.get('name')}{signature}")
    if doc := told.get("doc"):
        lines.append(str(doc))
    members = told.get("members")
    if isinstance(members, list) and members:
        lines.append(f"members: {', '.join(map(str, members))}")
    return ToolResult.success(told, text="\n".join(line for line in lines if line))
