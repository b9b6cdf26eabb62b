"""Frames wounded in one spot: a key dropped, a type swapped, a number blown up, and worse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

_MARK = "\x00wound\x00"

# Raw JSON texts to stand where a value stood; some are no JSON at all.
TOKENS = (
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "1e-400",
    "9" * 40,
    "9" * 5000,
    "-" + "9" * 40,
    "NaN",
    "-Infinity",
    '""',
    '"x"',
    '"0"',
    '"-1"',
    '"NaN"',
    '"inf"',
    '"1e400"',
    '"' + "9" * 400 + '"',
    '"' + "9" * 5000 + '"',
    '"\\ud800"',
    '"\\u0000"',
    "[]",
    "{}",
    "[[]]",
    "[[[]]]",
    '[["1"]]',
    '{"a":1}',
    "1672304486",
    "16723044868680000",
    '"2022-05-13T16:27:05"',
    '"9999999-99-99T99:99:99Z"',
)


def spots(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value inside, the outermost first."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from spots(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:20]):
            yield from spots(inner, (*path, index))


def replaced(value: Any, path: Path, token: str) -> bytes:
    """Return the document with the raw ``token`` where ``path`` leads."""
    text = json.dumps(_put(value, path, _MARK), separators=(",", ":"), ensure_ascii=False)
    return text.replace(json.dumps(_MARK), token).encode(errors="surrogatepass")


def dropped(value: Any, path: Path) -> bytes:
    """Return the document without the key or element that ``path`` leads to."""
    return json.dumps(_drop(value, path), separators=(",", ":")).encode()


def _put(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _put(value[path[0]], path[1:], new)
    return copy


def _drop(value: Any, path: Path) -> Any:
    if not path:
        return None
    copy = value.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _drop(value[path[0]], path[1:])
    return copy


def _reversed_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed_keys(value[key]) for key in reversed(value)}
    return [_reversed_keys(inner) for inner in value] if isinstance(value, list) else value


def reordered(document: bytes) -> bytes:
    """Return the document with the keys of every object in the opposite order."""
    return json.dumps(_reversed_keys(json.loads(document)), separators=(",", ":")).encode()


@st.composite
def wounded(draw: st.DrawFn, documents: Sequence[bytes]) -> bytes:
    """Draw one of the documents with one wound."""
    document = draw(st.sampled_from(documents))
    try:
        value = json.loads(document)
    except ValueError:
        value = None
    if value is None or draw(st.integers(0, 3)) == 0:
        return draw(_torn(document))
    path = draw(st.sampled_from(list(spots(value))))
    if draw(st.booleans()):
        return dropped(value, path)
    return replaced(value, path, draw(st.sampled_from(TOKENS)))


@st.composite
def _torn(draw: st.DrawFn, document: bytes) -> bytes:
    """Wound the bytes themselves: cut short, or some of them overwritten by any others."""
    at = draw(st.integers(0, len(document)))
    if draw(st.booleans()):
        return document[:at]
    new = draw(st.binary(min_size=1, max_size=4))
    return document[:at] + new + document[at + len(new) :]


_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
anything = st.binary(max_size=200) | _values.map(lambda value: json.dumps(value).encode())


def monsters(document: bytes) -> Iterator[bytes]:
    """Yield what no schema check should survive by luck: depth, size, emptiness, no UTF-8."""
    deep = 100_000
    yield b""
    yield b"\xff\xfe" + document
    yield document.replace(b'"', b'\xff"')
    yield b"[" * deep
    yield b"[" * deep + b"]" * deep
    yield b'{"a":' * deep + b"1" + b"}" * deep
    yield document + document
    yield b'"' + b"x" * (10 << 20) + b'"'
    yield b"9" * (10 << 20)
    try:
        value = json.loads(document)
    except ValueError:
        return
    last = list(spots(value))[-1]
    yield replaced(value, last, "[" * deep + "]" * deep)
    yield replaced(value, last, '"' + "x" * (10 << 20) + '"')
    yield replaced(value, last, "[" + '["1","1"],' * (1 << 20) + '["1","1"]]')
