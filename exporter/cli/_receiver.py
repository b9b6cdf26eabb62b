"""The flags that say where to send pages, and the receiver of a relay's config that they make."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from exporter.relay import notifiers, rendering

_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_ENOUGH = frozenset({"url", "token", "to"})  # keys for which one flag and --to suffice


class ReceiverError(Exception):
    """The flags make no receiver; the text is one line for the user and repeats no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Where to page: the notifier, which of its keys holds the secret, and who is addressed.

    ``variable`` names the environment's, where the secret is taken from there.
    """

    type: str
    key: str
    secret: str = field(repr=False)
    variable: str | None
    to: tuple[str, ...]
    in_environment: bool = False  # the file sets the variable, for an `EnvironmentFile`

    @property
    def file(self) -> str:
        """Return the name of the file that keeps the secret, beside the config."""
        return "relay.env" if self.in_environment else f"{self.type}.{self.key}"

    def by_environment(self) -> Chosen:
        """Return the same with a secret that programs find in their environment."""
        name = self.variable or f"{self.type}_{self.key}".upper()
        return replace(self, variable=name, in_environment=True)

    def section(self, language: str) -> list[str]:
        """Return the lines of the receiver in a relay's config."""
        source = f"{{env: {self.variable}}}" if self.variable else f"{{file: {self.file}}}"
        to = [f"    to: [{', '.join(repr(each) for each in self.to)}]"] if self.to else []
        return [
            "receivers:",
            "  - name: oncall",
            f"    type: {self.type}",
            f"    {self.key}: {source}",
            *to,
            f"    language: {language}",
        ]

    def keep(self, folder: Path) -> None:
        """Write the secret to its file, readable by its owner alone. Raises OSError."""
        if self.variable is not None and not self.in_environment:
            return  # whoever starts the relay sets it
        path = folder / self.file
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            head = f"{self.variable}=" if self.in_environment else ""
            file.write(f"{head}{self.secret}\n")


def kinds() -> dict[str, str]:
    """Return the notifiers that one value is enough for, and the key that it is."""
    found = {}
    for name in notifiers.choices():
        needs = notifiers.load(name).needs
        if needs <= _ENOUGH:
            found[name] = "url" if "url" in needs else "token"
    return found


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    known = kinds()
    group = parser.add_argument_group(
        "where to send pages", "one of these; env:NAME takes the value from the environment"
    )
    for name, key in known.items():
        needs = notifiers.load(name).needs
        more = ", with --to" if "to" in needs else ""
        title = notifiers.load(name).title
        group.add_argument(f"--{name}", metavar=key.upper(), help=f"{title}{more}")
    group.add_argument(
        "--to",
        action="append",
        default=[],
        metavar="RECIPIENT",
        help="user, group or chat that is addressed (line, telegram); repeatable",
    )
    group.add_argument(
        "--language",
        default="en",
        choices=rendering.languages(),
        help="language of the messages (default: %(default)s)",
    )


def chosen(args: argparse.Namespace) -> Chosen | None:
    """Return where to send pages, None if no flag says so. Raises ReceiverError."""
    given = {name: getattr(args, name) for name in kinds() if getattr(args, name) is not None}
    if not given:
        if args.to:
            raise ReceiverError("--to requires a service, such as --telegram=TOKEN")
        return None
    if len(given) > 1:
        raise ReceiverError(f"one service at a time, found {' and '.join(f'--{n}' for n in given)}")
    ((name, value),) = given.items()
    return receiver(name, value, tuple(args.to))


def receiver(name: str, value: str, to: tuple[str, ...]) -> Chosen:
    """Return a receiver of a notifier, by the value of its one secret. Raises ReceiverError."""
    notifier, key = notifiers.load(name), kinds()[name]
    match = _VARIABLE.fullmatch(value)
    variable = match[1] if match else None
    found = os.environ.get(variable, "") if variable else value
    if variable and not found:
        raise ReceiverError(f"--{name}: the environment variable {variable} is not set")
    if not found.strip() or any(ord(char) < 33 for char in found):
        raise ReceiverError(f"--{name}: expected a {key} without spaces")
    if key == "url":
        _check_url(name, found)
    if "to" in notifier.needs and not to:
        raise ReceiverError(f"--{name} requires --to=RECIPIENT: {notifier.recipients}")
    for each in to:
        if "to" not in notifier.needs:
            raise ReceiverError(f"--to: {name} does not use it; its URL determines the recipient")
        if not re.fullmatch(notifier.recipient, each):
            raise ReceiverError(
                f"--to: found no recipient of {name}, expected {notifier.recipients}"
            )
    return Chosen(type=name, key=key, secret=found, variable=variable, to=to)


def _check_url(name: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        good = bool(parts.scheme and parts.netloc)
    except ValueError:
        good = False
    if not good:
        raise ReceiverError(f"--{name}: expected a URL such as https://...")
