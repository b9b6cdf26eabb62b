"""Scenario files: which faults happen when. All mistakes are reported at once, with their lines.

A scenario is a YAML list of faults, or a mapping with that list under ``faults``::

    - {at: 10s, for: 30s, venue: okx, fault: mute, channel: trades}
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from exporter.simulator.faults import Fault, FaultError, read

_MOST = 10_000  # faults


def load(text: str, name: str, venues: Sequence[str]) -> tuple[Fault, ...]:
    """Read a scenario; ``name`` stands before each complaint. Raises FaultError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise FaultError([f"{name}:{line}: {getattr(error, 'problem', error)}"]) from error
    except RecursionError as error:
        raise FaultError([f"{name}:1: nested too deeply"]) from error
    if isinstance(node, yaml.MappingNode):
        keys = {str(key.value): value for key, value in node.value}
        if set(keys) != {"faults"}:
            raise FaultError([f"{name}:1: expected a list of faults, or one under the key faults"])
        node = keys["faults"]
    if not isinstance(node, yaml.SequenceNode):
        raise FaultError([f"{name}:1: expected a list of faults"])
    if len(node.value) > _MOST:
        raise FaultError([f"{name}:1: more than {_MOST} faults"])
    faults, wrong = [], []
    for number, item in enumerate(node.value):
        where = f"{name}:{item.start_mark.line + 1}: faults[{number}]"
        try:
            faults.append(read(_plain(item), venues))
        except FaultError as error:
            wrong += [f"{where}: {complaint}" for complaint in error.complaints]
        except yaml.YAMLError as error:
            wrong.append(f"{where}: {getattr(error, 'problem', error)}")
    if wrong:
        raise FaultError(wrong)
    return tuple(faults)


def _plain(node: yaml.Node) -> object:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()
