"""DES (FIPS 46-3), for the one place that still asks for it: the challenge of VncAuth. Nothing else may lean on it."""

from __future__ import annotations

from typing import Final

__all__ = ["encrypt_block", "vnc_response"]

_IP: Final = [bit - 8 * row for bit in (58, 60, 62, 64, 57, 59, 61, 63) for row in range(8)]
_FP: Final = [offset - row for row in range(8) for offset in (40, 8, 48, 16, 56, 24, 64, 32)]
_E: Final = [(4 * group + bit - 1) % 32 + 1 for group in range(8) for bit in range(6)]
_P: Final = [
    *(16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10),
    *(2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25),
]
_PC1: Final = [
    *(57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36),
    *(63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4),
]
_PC2: Final = [
    *(14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2),
    *(41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32),
]
_SHIFTS: Final = (1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1)
#: The eight S-boxes, four rows each, a hexadecimal digit an entry.
_S: Final = [
    [int(digit, 16) for digit in box]
    for box in (
        "e4d12fb83a6c59070f74e2d1a6cb953841e8d62bfc973a50fc8249175b3ea06d",
        "f18e6b34972dc05a3d47f28ec01a69b50e7ba4d158c6932fd8a13f42b67c05e9",
        "a09e63f51dc7b428d709346a285ecbf1d6498f30b12c5ae71ad069874fe3b52c",
        "7de3069a1285bc4fd8b56f03472c1ae9a690cb7df13e52843f06a1d8945bc72e",
        "2c417ab6853fd0e9eb2c47d150fa3986421bad78f9c5630eb8c71e2d6f09a453",
        "c1af92680d34e75baf427c9561de0b389ef528c3704a1db6432c95fabe17608d",
        "4b2ef08d3c975a61d0b7491ae35c2f8614bdc37eaf6805926bd814a7950fe23c",
        "d2846fb1a93e50c71fd8a374c56b0e927b419ce206adf35821e74a8dfc90356b",
    )
]


def _permuted(value: int, width: int, table: list[int]) -> int:
    """The bits of a number of ``width`` bits that the table names, counted from 1 at the highest."""
    result = 0
    for place in table:
        result = result << 1 | value >> (width - place) & 1
    return result


def _round_keys(key: int) -> list[int]:
    chosen = _permuted(key, 64, _PC1)
    left, right = chosen >> 28, chosen & 0xFFFFFFF
    keys = []
    for shift in _SHIFTS:
        left = (left << shift | left >> (28 - shift)) & 0xFFFFFFF
        right = (right << shift | right >> (28 - shift)) & 0xFFFFFFF
        keys.append(_permuted(left << 28 | right, 56, _PC2))
    return keys


def _mixed(half: int, key: int) -> int:
    wide = _permuted(half, 32, _E) ^ key
    result = 0
    for number, box in enumerate(_S):
        six = wide >> (42 - 6 * number) & 0x3F
        result = result << 4 | box[(six >> 4 & 2 | six & 1) << 4 | six >> 1 & 0xF]
    return _permuted(result, 32, _P)


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """Eight bytes, encrypted with a key of eight bytes."""
    value = _permuted(int.from_bytes(block), 64, _IP)
    left, right = value >> 32, value & 0xFFFFFFFF
    for round_key in _round_keys(int.from_bytes(key)):
        left, right = right, left ^ _mixed(right, round_key)
    return _permuted(right << 32 | left, 64, _FP).to_bytes(8)


def vnc_response(password: str, challenge: bytes) -> bytes:
    """The answer to VncAuth's challenge of 16 bytes: RFC 6143, 7.2.2, with the bits of each key byte mirrored."""
    key = password.encode("latin-1", "replace")[:8].ljust(8, b"\0")
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    return b"".join(encrypt_block(mirrored, challenge[start : start + 8]) for start in (0, 8))
