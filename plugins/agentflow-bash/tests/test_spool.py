"""The ring of a job's latest output, and the capture of a command's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentflow_bash.outputs import INLINE_BYTES, Capture
from agentflow_bash.spool import Spool


@settings(deadline=None, max_examples=50)
@given(parts=st.lists(st.integers(0, 90_000), max_size=12), capacity=st.sampled_from([10, 1000, 70_000, 200_000]))
def test_a_ring_holds_the_latest_bytes_at_their_offsets(tmp_path_factory, parts, capacity):
    spool = Spool(tmp_path_factory.getbasetemp(), capacity)
    whole = b""
    for number, size in enumerate(parts):
        part = bytes((number * 37 + index) % 251 for index in range(size))
        whole += part
        spool.add(part)
    assert spool.total == len(whole)
    assert spool.start == max(0, len(whole) - capacity)
    assert spool.read(spool.start, len(whole) + 1) == whole[spool.start :]
    middle = (spool.start + spool.total) // 2
    assert spool.read(middle, 7) == whole[middle : middle + 7]
    spool.close()


def test_a_capture_shows_head_and_tail_and_keeps_the_beginning(tmp_path):
    capture = Capture(tmp_path, 2_000_000)
    for number in range(300):
        capture.add(f"{number:09d}\n".encode() * 1000)
    assert (capture.total, capture.stored) == (3_000_000, 2_000_000)
    shown = capture.shown()
    assert shown.startswith("000000000\n")
    assert shown.endswith("000000299\n")
    assert f"[… {3_000_000 - INLINE_BYTES} bytes omitted …]" in shown
    assert capture.read(1_990_000, 20_000).startswith(b"000000199\n")
    assert len(capture.read(1_990_000, 20_000)) == 10_000
    capture.close()


def test_where_there_is_no_room_the_command_goes_on(tmp_path):
    capture = Capture(tmp_path, 10)
    capture.add(b"x" * (INLINE_BYTES + 5))
    assert (capture.stored, capture.total) == (10, INLINE_BYTES + 5)
    capture.close()
