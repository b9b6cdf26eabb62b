"""Check manifests of the Prometheus Operator against its models; a program for the tools' Python.

Reads a JSON list of manifests, prints a JSON list of complaints. The models drop keys that they do
not know, so what they keep is compared with what they were given.
"""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any


def lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    """Name every key that was given and not kept."""
    if isinstance(given, dict):
        for name, value in given.items():
            if not isinstance(kept, dict) or name not in kept:
                yield f"{path}.{name} is unknown"
            else:
                yield from lost(value, kept[name], f"{path}.{name}")
    elif isinstance(given, list) and isinstance(kept, list):
        for index, value in enumerate(given):
            yield from lost(value, kept[index], f"{path}[{index}]")


def complaints(manifest: dict[str, Any]) -> Iterator[str]:
    """Complain of one manifest."""
    kind, version = manifest["kind"], manifest["apiVersion"].rpartition("/")[2]
    module = import_module(f"cloudcoil.models.prometheus_operator.{version}")
    name = f"{kind} {manifest['metadata']['name']}"
    try:
        model = getattr(module, kind).model_validate(manifest)
    except ValueError as error:
        yield f"{name}: {error}"
    else:
        kept = model.model_dump(mode="json", by_alias=True, exclude_none=True)
        yield from lost(manifest["spec"], kept["spec"], name)


json.dump([each for manifest in json.load(sys.stdin) for each in complaints(manifest)], sys.stdout)
