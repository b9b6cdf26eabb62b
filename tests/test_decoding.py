"""Readers of untrusted bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, isfinite

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decoding import (
    Micros,
    Millis,
    Nanos,
    ParseError,
    Price,
    Serial,
    Size,
    epoch,
    json_path,
    json_value,
    natural,
    positive,
    reading,
    seconds,
    unreadable,
)


class _Row(msgspec.Struct):
    """One field of each annotated type."""

    price: Price = 1.0
    size: Size = 0.0
    millis: Millis = 1672515782136
    micros: Micros = 1672515782136000
    nanos: Nanos = 1672515782136000000
    serial: Serial = 0


_read = msgspec.json.Decoder(_Row, strict=False).decode


@pytest.mark.parametrize(
    "row",
    [
        '{"price":"NaN"}',
        '{"price":"inf"}',
        '{"price":"1e400"}',
        '{"price":1e400}',
        '{"price":"0"}',
        '{"price":-1}',
        '{"price":"1e18"}',
        '{"price":"1_0"}',
        '{"price":""}',
        '{"price":null}',
        '{"price":true}',
        '{"size":"-0.1"}',
        '{"size":"nan"}',
        '{"millis":1672515782}',
        '{"millis":1672515782136000}',
        '{"micros":1672515782136}',
        '{"nanos":1672515782136}',
        '{"serial":-1}',
        '{"serial":9223372036854775808}',
        '{"serial":"1' + "0" * 5000 + '"}',
        '{"serial":1.5}',
    ],
)
def test_typed_decoders_refuse_absurd_numbers(row: str) -> None:
    """Prices are finite and above zero, sizes not below, times in their unit, numbers 63 bits."""
    with pytest.raises(msgspec.MsgspecError):
        _read(row.encode())


def test_typed_decoders_read_numbers_in_texts() -> None:
    """Numbers may stand in JSON texts, and zero is a size but no price."""
    row = _read(b'{"price":"0.00006547","size":"0","millis":"1672515782136","serial":"7"}')
    assert (row.price, row.size, row.millis, row.serial) == (0.00006547, 0.0, 1672515782136, 7)


@given(st.floats() | st.floats().map(str))
def test_positive_gives_a_finite_number_above_zero(value: float | str) -> None:
    """Whatever number comes, what leaves is fit to be divided by."""
    try:
        number = positive(value)
    except ParseError:
        assert not 0.0 < float(value) < inf
    else:
        assert number == float(value)
        assert isfinite(number)
        assert number > 0.0


def test_natural_lets_zero_pass() -> None:
    """A size may be zero, never negative, NaN or infinite."""
    assert natural("0") == 0.0
    assert natural("1e3") == 1000.0
    for bad in ("-1", "nan", "inf", -inf):
        with pytest.raises(ParseError):
            natural(bad)


def test_seconds_knows_a_wrong_unit() -> None:
    """A time outside 2001 to 2286 is a unit error or garbage, never a latency."""
    assert seconds("1672515782136", 1e3) == 1672515782.136
    assert seconds(1672515782136000000, 1e9) == pytest.approx(1672515782.136)
    for value, unit in ((1672515782136, 1.0), (1672515782, 1e3), (float("nan"), 1.0)):
        with pytest.raises(ParseError):
            seconds(value, unit)


def test_epoch_refuses_the_distant_past() -> None:
    """A zero time is an unset field, not a latency of fifty years."""
    with pytest.raises(ParseError):
        epoch(datetime(1970, 1, 1, tzinfo=UTC))


def test_reading_gives_one_error_for_all() -> None:
    """Whatever a look into untrusted bytes raises becomes a short ParseError with its cause."""
    for error in (KeyError("x"), TypeError("y" * 999), RecursionError(), OverflowError()):
        with pytest.raises(ParseError, match=r"^spot: ") as caught, reading("spot"):
            raise error
        assert caught.value.__cause__ is error
        assert len(str(caught.value)) <= 300
    with pytest.raises(ZeroDivisionError), reading("spot"):
        raise ZeroDivisionError


def test_a_parse_error_is_not_wrapped_again() -> None:
    """The first complaint is the one that is told."""
    error = ParseError("first")
    assert unreadable("second", error) is error


def test_json_paths() -> None:
    """Dotted paths lead through objects and lists; where they break off is told."""
    value = json_value(b'{"result":{"list":[{"symbol":"X"}],"0":1}}')
    assert json_path(value, "result.list.0.symbol") == "X"
    assert json_path(value, "result.0") == 1
    for broken in ("result.list.1", "result.list.-1", "result.list.symbol", "nothing", ""):
        with pytest.raises(ParseError, match="nothing at"):
            json_path(value, broken)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"NaN", b'{"a":Infinity}', b"\xff", b"[" * 100_000, b"9" * 5000]
)
def test_bad_json_is_refused(body: bytes) -> None:
    """Torn, bottomless and non-finite JSON is a ParseError."""
    with pytest.raises(ParseError):
        json_value(body)
