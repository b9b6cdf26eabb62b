"""Readers of lists of perpetuals, as definitions describe them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from exporter.decoding import (
    figure,
    json_path,
    json_value,
    optional_path,
    reading,
    size,
    time_of,
)
from exporter.instrument import Product
from exporter.listing import ListedPerpetual, PerpetualList
from exporter.venues.definition.rest_shape import PerpetualsShape


def perpetuals(
    venue: str, shapes: Iterable[PerpetualsShape]
) -> dict[Product, tuple[PerpetualList, ...]]:
    """Return the lists of each class."""
    found: dict[Product, tuple[PerpetualList, ...]] = {}
    for shape in shapes:
        found[shape.product] = (*found.get(shape.product, ()), _list(venue, shape))
    return found


def _list(venue: str, shape: PerpetualsShape) -> PerpetualList:
    def read(body: bytes) -> Iterator[ListedPerpetual]:
        with reading(f"{venue} perpetuals"):
            document = json_value(body)
            rows = document if shape.rows is None else json_path(document, shape.rows)
            names = rows if shape.names is None else json_path(document, shape.names)
            pairs = [
                (str(json_path(name, shape.symbol)), row)
                for name, row in zip(names, rows, strict=True)
            ]
        for symbol, row in pairs:
            yield _row(shape, symbol, row)

    return PerpetualList(
        path=shape.path,
        read=read,
        body=None if shape.json is None else json.dumps(shape.json).encode(),
        weight=shape.weight,
    )


def _row(shape: PerpetualsShape, symbol: str, row: Any) -> ListedPerpetual:
    at = partial(optional_path, row)

    mark, funding = size(at(shape.mark)), figure(at(shape.rate))
    if funding is not None and shape.rate_in != "ratio":
        if mark is None:
            funding = None
        else:
            funding = funding / mark if shape.rate_in == "quote" else funding * mark
    return ListedPerpetual(
        symbol,
        mark,
        size(at(shape.index)),
        funding,
        (size(at(shape.interval)) or shape.every) if funding is not None else None,
        time_of(at(shape.next)),
        size(at(shape.cap)),
    )
