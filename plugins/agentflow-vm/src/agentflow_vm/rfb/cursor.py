"""The pointer's picture, which the server tells once and leaves to us to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from agentflow_vm.rfb.errors import ProtocolError

if TYPE_CHECKING:
    from agentflow_vm.rfb.framebuffer import Box
    from agentflow_vm.rfb.incoming import Incoming

__all__ = ["Cursor"]

_MAX_EDGE: Final = 512


@frozen(kw_only=True)
class Cursor:
    """A small picture, and which of its pixels is at the pointer's place."""

    hot: tuple[int, int]
    width: int
    height: int
    pixels: bytes = field(repr=False)  #: four bytes a pixel
    mask: bytes = field(repr=False)  #: a bit a pixel, each row from a byte of its own; 0 is seen through

    @classmethod
    async def read(cls, incoming: Incoming, box: Box) -> Cursor:
        """What follows the head of a Cursor rectangle."""
        if box.width > _MAX_EDGE or box.height > _MAX_EDGE:
            raise ProtocolError(f"the display sent a pointer of {box.width}x{box.height} pixels")
        pixels = await incoming.read(4 * box.width * box.height)
        mask = await incoming.read((box.width + 7) // 8 * box.height)
        return cls(hot=(box.x, box.y), width=box.width, height=box.height, pixels=pixels, mask=mask)

    def draw(self, pixels: bytearray, part: Box, at: tuple[int, int]) -> None:
        """Draw it into a cut-out of the screen, with the pointer at a place of the screen."""
        left, top = at[0] - self.hot[0] - part.x, at[1] - self.hot[1] - part.y
        row_bytes = (self.width + 7) // 8
        for row in range(max(0, -top), min(self.height, part.height - top)):
            for column in range(max(0, -left), min(self.width, part.width - left)):
                if self.mask[row * row_bytes + column // 8] >> (7 - column % 8) & 1:
                    to = 4 * ((top + row) * part.width + left + column)
                    here = 4 * (row * self.width + column)
                    pixels[to : to + 4] = self.pixels[here : here + 4]
