"""State as one blob: every flipped bit and every cut is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.flow.state_file import pack, unpack

PARTS = {"detectors": [bytes(range(256)), b"\n"], "incidents": [], "open": [b"", b"\n\n"]}
BLOB = b"".join(pack(PARTS))


def test_what_is_packed_comes_back() -> None:
    """Names and bytes in the same pieces, empty ones and line ends too."""
    assert unpack(BLOB) == PARTS


@given(place=st.integers(0, len(BLOB) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_torn_and_flipped_bytes_are_refused(place: int, bit: int, cut: bool) -> None:
    """Nothing but the very bytes is taken."""
    blob = bytearray(BLOB)
    if cut:
        del blob[place:]
    else:
        blob[place] ^= 1 << bit
    with pytest.raises(ValueError, match=r"damaged|another version"):
        unpack(bytes(blob))
