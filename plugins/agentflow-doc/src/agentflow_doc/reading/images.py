"""Read image files, and turn pictures into what models take, by Pillow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from agentflow_doc.reading.base import Picture, Settings, title_of
from agentflow_doc.reading.failures import Unreadable
from agentflow_doc.reading.ocr import read_text
from agentflow_doc.records import Block, Box, Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from PIL import Image

    from agentflow_doc.records import Section

__all__ = ["ImageReader", "encoded", "picture_of"]

#: The longer side of an image that is shown, in pixels.
MOST_PIXELS: Final = 2400
_MOST_BYTES: Final = 4 * 2**20
_FORMATS: Final = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")


class ImageReader:
    """An image file: one page without text of its own; of a TIFF, each image is a page."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._image = opened(path.read_bytes(), settings)
        self._count = min(getattr(self._image, "n_frames", 1), settings.pages) if self._image.format == "TIFF" else 1
        self.notes: list[str] = []
        self.title = title_of(path, None, ())

    def read(self) -> Iterator[Page]:
        """The pages; as many as are allowed are read by tesseract."""
        for number in range(1, self._count + 1):
            if self._settings.tesseract and number > self._settings.ocr_pages:
                yield self._shape(number)
            else:
                yield self.page(number)

    def sections(self, pages: Sequence[Page]) -> tuple[Section, ...]:
        """None."""
        return ()

    def _shape(self, number: int) -> Page:
        width, height = self._frame(number).size
        figure = Block(
            kind="figure", text=f"[figure 1 on page {number}]", box=(0.0, 0.0, float(width), float(height)), index=1
        )
        return Page(number=number, width=width, height=height, blocks=(figure,), is_deep=False, is_scan=True)

    def page(self, number: int) -> Page:
        """The page with the text that tesseract reads on it."""
        shape = self._shape(number)
        blocks: Sequence[Block] = ()
        lacks = self._settings.lacks_ocr
        if self._settings.tesseract:
            try:
                blocks = read_text(encoded(self._frame(number), lossless=True)[1], 1.0, self._settings)
            except Unreadable as error:
                lacks = error.message
        return Page(
            number=number,
            width=shape.width,
            height=shape.height,
            blocks=(*shape.blocks, *blocks),
            is_scan=True,
            lacks=lacks,
        )

    def _frame(self, number: int) -> Image.Image:
        self._image.seek(number - 1)
        return self._image

    def render(self, number: int, region: Box | None, dpi: float) -> Picture:
        """The image, or a region of it, in its own pixels."""
        frame = self._frame(number)
        part = frame.crop((round(region[0]), round(region[1]), round(region[2]), round(region[3]))) if region else frame
        return picture_of(part, region=region)

    def picture(self, name: str) -> Picture:
        """The whole image."""
        return self.render(1, None, 0)

    def close(self) -> None:
        """Close the file."""
        self._image.close()


def opened(data: bytes, settings: Settings) -> Image.Image:
    """An image of a format that is known, and of a size that is allowed."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the size is checked here, before anything is unpacked
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise Unreadable("unsupported", "broken", "it is no image that can be read") from error
    if image.width * image.height > settings.pixels:
        raise Unreadable(
            "unsupported",
            "too_large",
            f"the image has {image.width} × {image.height} pixels",
            hint=f"limits.pixels allows {settings.pixels}",
        )
    return image


def picture_of(image: Image.Image, *, dpi: float = 0.0, region: Box | None = None) -> Picture:
    """A picture, made smaller where it is large."""
    scale = min(1.0, MOST_PIXELS / max(1, image.width, image.height))
    if scale < 1:
        image = _plain(image).resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    mime, data = encoded(image)
    return Picture(
        mime=mime, data=data, width=image.width, height=image.height, dpi=round(dpi * scale, 1), region=region
    )


def encoded(image: Image.Image, *, lossless: bool = False) -> tuple[str, bytes]:
    """As PNG, or as JPEG where that would be much."""
    image = _plain(image)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    if lossless or buffer.tell() <= _MOST_BYTES:
        return "image/png", buffer.getvalue()
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=88)
    return "image/jpeg", buffer.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in ("RGB", "RGBA", "L"):
        return image
    return image.convert("RGBA" if "A" in image.mode or "transparency" in image.info else "RGB")
