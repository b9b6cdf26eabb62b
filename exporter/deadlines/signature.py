"""Ed25519: whether a signature is the key's.

Verification needs nothing secret, so that neither constant time nor a compiled dependency is
called for: one check of a small file a day, some ten milliseconds. Signing is left to OpenSSL
(scripts/sign_deadlines), whose signatures the tests are held against.

Source: RFC 8032, sections 5.1.2 to 5.1.4 and 5.1.7 (the equation without the cofactor).
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final, TypeAlias

Point: TypeAlias = tuple[int, int, int, int]
"""X, Y, Z and T of section 5.1.4: x is X / Z, y is Y / Z, x * y is T / Z."""

_PRIME: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ROOT_OF_MINUS_ONE: Final = pow(2, (_PRIME - 1) // 4, _PRIME)
_NEUTRAL: Final = (0, 1, 1, 0)
_X: Final = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_Y: Final = 4 * pow(5, -1, _PRIME) % _PRIME
_BASE: Final = (_X, _Y, 1, _X * _Y % _PRIME)
_KEY, _SIGNATURE = 32, 64  # bytes


def verify(key: bytes, signed: bytes, signature: bytes) -> bool:
    """Return whether the holder of the public ``key`` signed these bytes."""
    if len(key) != _KEY or len(signature) != _SIGNATURE:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    owner, commitment = _decoded(key), _decoded(signature[:32])
    if owner is None or commitment is None or scalar >= _ORDER:
        return False
    digest = sha512(signature[:32] + key + signed).digest()
    challenge = int.from_bytes(digest, "little") % _ORDER
    left, right = _times(scalar, _BASE), _sum(commitment, _times(challenge, owner))
    return _same(left, right)


def _decoded(encoded: bytes) -> Point | None:
    """Return the point of 32 bytes: y, and the lowest bit of x; None: there is none."""
    number = int.from_bytes(encoded, "little")
    y, odd = number & (2**255 - 1), number >> 255
    if y >= _PRIME:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME
    x = pow(square, (_PRIME + 3) // 8, _PRIME)
    if x * x % _PRIME != square:
        x = x * _ROOT_OF_MINUS_ONE % _PRIME
    if x * x % _PRIME != square or (x == 0 and odd):
        return None
    if x & 1 != odd:
        x = _PRIME - x
    return x, y, 1, x * y % _PRIME


def _sum(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % _PRIME
    c = 2 * one[3] * other[3] * _D % _PRIME
    d = 2 * one[2] * other[2] % _PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _PRIME, g * h % _PRIME, f * g % _PRIME, e * h % _PRIME


def _times(scalar: int, point: Point) -> Point:
    found = _NEUTRAL
    while scalar:
        if scalar & 1:
            found = _sum(found, point)
        point = _sum(point, point)
        scalar >>= 1
    return found


def _same(one: Point, other: Point) -> bool:
    return all((one[i] * other[2] - other[i] * one[2]) % _PRIME == 0 for i in (0, 1))
