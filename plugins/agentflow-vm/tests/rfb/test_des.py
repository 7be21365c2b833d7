"""DES, against the vectors that the standards publish."""

from __future__ import annotations

import pytest

from agentflow_vm.rfb.des import encrypt_block, vnc_response


@pytest.mark.parametrize(
    ("key", "plain", "cipher"),
    [
        ("133457799bbcdff1", "0123456789abcdef", "85e813540f0ab405"),  # the worked example of most textbooks
        ("0000000000000000", "0000000000000000", "8ca64de9c1b123a7"),
        ("ffffffffffffffff", "ffffffffffffffff", "7359b2163e4edc58"),
        ("7ca110454a1a6e57", "01a1d6d039776742", "690f5b0d9a26939b"),  # NIST SP 500-20, permutation and S-boxes
        ("0131d9619dc1376e", "5cd54ca83def57da", "7a389d10354bd271"),
        ("07a1133e4a0b2686", "0248d43806f67172", "868ebb51cab4599a"),
        ("3849674c2602319e", "51454b582ddf440a", "7178876e01f19b2a"),
        ("04b915ba43feb5b6", "42fd443059577fa2", "af37fb421f8c4095"),
        ("0113b970fd34f2ce", "059b5e0851cf143a", "86a560f10ec6d85b"),
        ("0170f175468fb5e6", "0756d8e0774761d2", "0cd3da020021dc09"),
        ("43297fad38e373fe", "762514b829bf486a", "ea676b2cb7db2b7a"),
    ],
)
def test_a_block_is_encrypted_as_published(key, plain, cipher):
    assert encrypt_block(bytes.fromhex(key), bytes.fromhex(plain)).hex() == cipher


def test_the_answer_to_a_challenge_mirrors_the_bits_of_the_password():
    challenge = bytes(range(16))
    answer = vnc_response("COW", challenge)
    key = bytes.fromhex("c2f2ea0000000000")  # 0x43 0x4f 0x57, each mirrored, as RFC 6143 wants
    assert answer == encrypt_block(key, challenge[:8]) + encrypt_block(key, challenge[8:])


def test_a_password_of_more_than_eight_bytes_is_cut():
    assert vnc_response("12345678", bytes(16)) == vnc_response("123456789", bytes(16))
