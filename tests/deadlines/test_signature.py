"""The signature of a file of known deadlines: the key's is good, and nothing else is."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.deadlines.document import PROJECT_KEY, RejectedFileError, decoded_key, read

SCRIPT = Path(__file__).parents[2] / "scripts/sign_deadlines"
NO_KEYS = [b"", bytes(31), b"\xff" * 32, bytes(33)]


def shipped() -> bytes:
    """Return the file that comes with the program."""
    return files("exporter.deadlines").joinpath("deadlines.yml").read_bytes()


def test_the_shipped_file_is_signed_with_the_project_s_key() -> None:
    """So that who has a newer one from elsewhere can tell that it is the project's, too."""
    assert read(shipped(), decoded_key(PROJECT_KEY)).deadlines


@given(place=st.integers(0, len(shipped()) - 100), bit=st.integers(0, 7))
def test_one_bit_anywhere_makes_it_bad(place: int, bit: int) -> None:
    """Before the signature: a flipped bit is no other fact."""
    altered = bytearray(shipped())
    altered[place] ^= 1 << bit
    with pytest.raises(RejectedFileError):
        read(bytes(altered), decoded_key(PROJECT_KEY))


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_has_signed_nothing(key: bytes) -> None:
    """Without another error: it is judged, not read."""
    with pytest.raises(RejectedFileError):
        read(shipped(), key)


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
