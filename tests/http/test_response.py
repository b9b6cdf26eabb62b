"""One answer is read the same however it comes in pieces, and nothing broken passes for whole."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.http.response import ParsedResponse, ResponseError


def read(data: bytes, method: str = "GET", limit: int = 1000, end: bool = False) -> ParsedResponse:
    response = ParsedResponse(method, limit)
    response.feed(data)
    if end and not response.done:
        response.end()
    return response


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def packed(coding: bytes, body: bytes) -> bytes:
    return HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body


BARE = zlib.compressobj(wbits=-15)
SOUND = [
    (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    (HEAD + b"Content-Length: 0\r\n\r\n", b"", True),
    (HEAD + b"Content-Length: 5, 5\r\n\r\nhello", b"hello", True),
    (HEAD + b"Content-Length: 5\r\nConnection: Close\r\n\r\nhello", b"hello", False),
    (HEAD + b"Content-Length: 5\r\n\r\nhello!", b"hello", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    (
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
        b"hello",
        True,
    ),
    (CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", b"hello", True),
    (CHUNKED + b"005 \r\nhello\r\n0\r\nTrailer: x\r\n\r\n", b"hello", True),
    (
        HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
        False,
    ),
    (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\n!",
        b"!",
        True,
    ),
    (b"HTTP/1.1 204\r\n\r\n", b"", True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b"", True),
    (packed(b"gzip", gzip.compress(b"hello", mtime=0)), b"hello", True),
    (packed(b"deflate", zlib.compress(b"hello")), b"hello", True),
    (packed(b"deflate", BARE.compress(b"hello") + BARE.flush()), b"hello", True),
    (packed(b"gzip", b""), b"", True),
    (packed(b"identity", b"hello"), b"hello", True),
]


@pytest.mark.parametrize(("data", "body", "reusable"), SOUND)
def test_sound_answers(data: bytes, body: bytes, reusable: bool) -> None:
    """Every framing of the standard is read, and what may follow on the connection is known."""
    response = read(data)
    assert response.done
    assert (response.body, response.reusable) == (body, reusable)


@given(st.sampled_from(SOUND), st.lists(st.integers(1, 200), max_size=8))
def test_pieces_do_not_matter(answer: tuple[bytes, bytes, bool], cuts: list[int]) -> None:
    """However the network cuts it, an answer reads the same."""
    data, body, _ = answer
    response, at = ParsedResponse("GET", 1000), 0
    for cut in [*sorted({cut % len(data) for cut in cuts}), len(data)]:
        if cut > at and not response.done:
            response.feed(data[at:cut])
            at = cut
    assert response.done
    assert response.body == body


def test_body_until_the_end() -> None:
    """Without a length the body lasts until the connection ends, and the end belongs to it."""
    response = read(HEAD + b"\r\nhel")
    response.feed(b"lo")
    assert not response.done
    response.end()
    assert (response.done, response.body, response.reusable) == (True, b"hello", False)


def test_head_has_no_body() -> None:
    """The answer to HEAD names a length and sends nothing."""
    response = read(HEAD + b"Content-Length: 5\r\n\r\n", method="HEAD")
    assert (response.done, response.body, response.reusable) == (True, b"", True)


def test_headers_are_lowered_and_joined() -> None:
    """Names in lower case, repeated ones in order, spaces around values gone."""
    response = read(HEAD + b"X-A: 1\r\nx-a:\t2 \r\nX-Empty:\r\nContent-Length: 0\r\n\r\n")
    assert response.headers == {"x-a": "1, 2", "x-empty": "", "content-length": "0"}


BROKEN = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 ²00 OK\r\n\r\n".encode("latin-1"),
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    HEAD + b"no colon\r\n\r\n",
    HEAD + b": no name\r\n\r\n",
    HEAD + b"Space : x\r\n\r\n",
    HEAD + b"Content-Length: -1\r\n\r\n",
    HEAD + b"Content-Length: 1, 2\r\n\r\n",
    HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    HEAD + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
    HEAD + b"Content-Length: 1001\r\n\r\n" + b"x" * 1001,
    HEAD + b"X: " + b"x" * 70_000,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 4000,
    CHUNKED + b"zz\r\n",
    CHUNKED + b"\r\n",
    CHUNKED + b"-1\r\n",
    CHUNKED + b"1234567890123456\r\n",
    CHUNKED + b"1\r\nab\r\n",
    CHUNKED + b"1;" + b"x" * 5000,
    CHUNKED + b"0\r\n" + b"x" * 5000,
    packed(b"gzip", b"nope"),
    packed(b"gzip", gzip.compress(b"hello", mtime=0)[:-1]),
    packed(b"gzip", gzip.compress(bytes(10_000_000), mtime=0)),
    packed(b"deflate", zlib.compress(bytes(10_000_000))),
]


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_broken_answers_are_refused(data: bytes) -> None:
    """What no server should send is an error, and never a shorter or longer body."""
    with pytest.raises(ResponseError):
        read(data)


@pytest.mark.parametrize("data", [b"", b"HTT", HEAD, HEAD + b"Content-Length: 2\r\n\r\nx", CHUNKED])
def test_early_end_is_refused(data: bytes) -> None:
    """A connection that ends too soon leaves no answer behind."""
    with pytest.raises(ResponseError):
        read(data, end=True)


@given(st.sampled_from(SOUND), st.integers(0, 400), st.binary(max_size=6))
def test_wounded_answers_are_read_or_refused(
    answer: tuple[bytes, bytes, bool], place: int, wound: bytes
) -> None:
    """Whatever bytes come, it ends in an answer, in waiting or in AnswerError, within bounds."""
    data, at = answer[0], place % len(answer[0])
    try:
        response = read(data[:at] + wound + data[at + len(wound) :], limit=50, end=True)
    except ResponseError:
        return
    assert response.done
    assert len(response.body) <= 50


def test_tiny_chunks_cost_no_more_than_their_bytes() -> None:
    """Most of a megabyte in chunks of one byte is read in linear time.

    It takes a second or two. Where each chunk cost what is still to be read, it would take the
    better part of an hour, and pytest's own limit would end it.
    """
    size = 3 << 18
    response = read(CHUNKED + b"1\r\nx\r\n" * size + b"0\r\n\r\n", limit=size)
    assert (response.done, len(response.body)) == (True, size)


MEMBER = gzip.compress(b"hello", mtime=0)


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_all_members_of_a_gzip_body_are_read(step: int) -> None:
    """RFC 1952, section 2.2: a file is a series of members, however they are cut."""
    answer = packed(b"gzip", MEMBER * 3)
    response = ParsedResponse("GET", 15)
    for at in range(0, len(answer), step):
        response.feed(answer[at : at + step])
    assert response.done
    assert response.body == b"hello" * 3


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        (b"gzip", MEMBER + b"junk", "broken"),
        (b"gzip", MEMBER + bytes(8), "broken"),
        (b"gzip", MEMBER + MEMBER[:-1], "cut short"),
        (b"gzip", MEMBER * 201, "more than 1000 bytes"),
        (b"gzip", gzip.compress(b"", mtime=0) * 1001, "more than 1000 members"),
        (b"deflate", zlib.compress(b"hello") + b"junk", "after the end"),
        (b"deflate", zlib.compress(b"hello", wbits=-15) + b"junk", "after the end"),
        (b"deflate", b"\x00\x00\x00\xff\xff" * 20_000, "100000 compressed bytes"),
    ],
)
def test_what_follows_a_compressed_body_is_refused(coding: bytes, body: bytes, why: str) -> None:
    """Neither kept nor taken for part of a sound answer."""
    with pytest.raises(ResponseError, match=why):
        read(packed(coding, body))


def test_junk_after_a_compressed_body_costs_no_memory() -> None:
    """Refused with its first piece, where zlib would keep all of it."""
    response = ParsedResponse("GET", 1000)
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + MEMBER)
    with pytest.raises(ResponseError, match="broken"):
        response.feed(b"\xff" * 65536)
