"""Ed25519 signatures: those of the RFC and of OpenSSL are good, and nothing else is."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.deadlines.document import decoded_key, read
from exporter.deadlines.signature import verify

SCRIPT = Path(__file__).parents[2] / "scripts/sign_deadlines"
# RFC 8032, section 7.1: public key, message, signature of TEST 1, 2 and 3.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
        "b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
        "1d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
        "c6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
KEY, MESSAGE, SIGNATURE = (bytes.fromhex(each) for each in VECTORS[2])
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc_are_good(key: str, message: str, signature: str) -> None:
    """All three, and none of them with another message."""
    raw, said, made = (bytes.fromhex(each) for each in (key, message, signature))
    assert verify(raw, said, made)
    assert not verify(raw, said + b"\0", made)


@given(place=st.integers(0, len(KEY + MESSAGE + SIGNATURE) - 1), bit=st.integers(0, 7))
def test_one_bit_anywhere_makes_it_bad(place: int, bit: int) -> None:
    """Of the key, of the message and of the signature."""
    whole = bytearray(KEY + MESSAGE + SIGNATURE)
    whole[place] ^= 1 << bit
    assert not verify(bytes(whole[:32]), bytes(whole[32:34]), bytes(whole[34:]))


def test_a_signature_has_one_spelling() -> None:
    """The scalar plus the order of the group solves the equation as well, and is refused."""
    scalar = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    assert not verify(KEY, MESSAGE, SIGNATURE[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize(
    ("key", "signature"),
    [(KEY[:31], SIGNATURE), (KEY, SIGNATURE[:63]), (KEY + b"\0", SIGNATURE), (b"", b"")],
)
def test_what_has_another_length_is_bad(key: bytes, signature: bytes) -> None:
    """Without an error: it is judged, not read."""
    assert not verify(key, MESSAGE, signature)


@pytest.mark.parametrize(
    "encoded", [b"\xff" * 32, b"\x02" + bytes(31), b"\1" + bytes(30) + b"\x80"]
)
def test_what_is_no_point_is_bad(encoded: bytes) -> None:
    """A y beyond the prime, one without an x, and the negative of an x of zero."""
    assert not verify(encoded, MESSAGE, SIGNATURE)
    assert not verify(KEY, MESSAGE, encoded + SIGNATURE[32:])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="OpenSSL is not installed")
def test_what_the_script_signs_is_read(tmp_path: Path) -> None:
    """With a new key, over what was signed before, and with no other key."""

    def script(*words: str | Path) -> str:
        done = subprocess.run([SCRIPT, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    file, key = tmp_path / "facts.yml", tmp_path / "key.pem"
    file.write_text("issued: 2027-01-10T12:00:00Z\ndeadlines: []\n")
    public = script("--new", key)
    assert key.stat().st_mode & 0o077 == 0
    for _ in range(2):
        script(key, file)
        assert read(file.read_bytes(), decoded_key(public)).deadlines == ()
    assert script("--public", key) == public
    assert len(b64decode(public)) == 32
