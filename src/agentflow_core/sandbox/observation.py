"""Make of a tool result the observation that runs store and models are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.records import ImageContent, Observation, ToolResult, cut

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore

__all__ = ["observation_of"]


def observation_of(result: ToolResult, blobs: BlobStore | None) -> Observation:
    """The observation: its text whole, ``shown`` only where that was cut, the bytes of images in ``blobs``.

    With no store, images are named only where the result has their hash already.
    """
    text = result.text
    shown = cut(text)
    hashes: list[str] = []
    for part in result.content:
        if not isinstance(part, ImageContent):
            continue
        if part.data is not None and blobs is not None:
            hashes.append(blobs.put(part.data))
        elif part.sha256:
            hashes.append(part.sha256)
    whole_text = result.truncation.artifact if result.truncation else ""
    hashes += [artifact.sha256 for artifact in result.artifacts if artifact.sha256 != whole_text]
    return Observation(
        ok=result.ok,
        code=result.code,
        data=result.data,
        text=text,
        shown=shown if shown != text else None,
        blobs=tuple(dict.fromkeys(hashes)),
    )
