"""What is written as PNG is read as what it was by another program."""

from __future__ import annotations

import io
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_vm.png import Picture, animated_png, png


def opened(data: bytes):
    from PIL import Image

    return Image.open(io.BytesIO(data))


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_picture_comes_back_pixel_by_pixel(width, height, seed):
    rgbx = random.Random(seed).randbytes(4 * width * height)
    image = opened(png(Picture.of(width, height, rgbx)))
    assert (image.size, image.mode) == ((width, height), "RGB")
    expected = b"".join(rgbx[at : at + 3] for at in range(0, len(rgbx), 4))
    assert image.tobytes() == expected


def test_a_part_of_a_picture_is_that_part():
    picture = Picture(width=5, height=4, rgb=bytes(range(60)))
    assert bytes(picture.cropped(1, 2, 2, 2).rgb) == bytes([*range(33, 39), *range(48, 54)])
    assert picture.cropped(0, 0, 5, 4) is picture


def test_a_recording_keeps_its_pictures_and_their_times():
    frames = [(Picture(width=2, height=1, rgb=bytes([shade] * 6)), seconds) for shade, seconds in ((1, 0.5), (9, 2.0))]
    image = opened(animated_png(frames))
    assert image.n_frames == 2
    seen = []
    for number in range(2):
        image.seek(number)
        seen.append((image.convert("RGB").tobytes()[0], image.info["duration"]))
    assert seen == [(1, 500.0), (9, 2000.0)]


def test_a_picture_made_smaller_keeps_its_colours():
    picture = Picture(width=4, height=4, rgb=bytes([7, 8, 9] * 16))
    assert picture.resized(2, 1).rgb == bytes([7, 8, 9] * 2)
    assert picture.resized(8, 8).rgb == bytes([7, 8, 9] * 64)
