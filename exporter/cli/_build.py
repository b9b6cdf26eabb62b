"""What this program was built from and runs on, for `--version` and the metric of the build."""

from __future__ import annotations

import os
import platform
import re
import ssl
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import exporter

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PACKAGES = ("aiohttp", "msgspec", "numpy", "scipy", "websockets", "uvloop", "apprise")


def revision() -> str:
    """Return the commit: of the image, or of the checkout that runs; empty where none is known."""
    given = os.environ.get("EXCHANGE_EXPORTER_REVISION", "")
    if given:
        return given[:40] if given != "unknown" else ""
    git = Path(exporter.__file__).parent.parent / ".git"
    try:
        if git.is_file():  # a worktree's: `gitdir: PATH`
            git = Path(git.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        return head if _COMMIT.fullmatch(head) else _of(git, head.removeprefix("ref:").strip())
    except (OSError, UnicodeDecodeError):
        return ""


def _of(git: Path, name: str) -> str:
    """Return the commit of a branch, from its file or the packed ones. Raises OSError."""
    common = git / "commondir"
    base = git / common.read_text(encoding="utf-8").strip() if common.is_file() else git
    if (base / name).is_file():
        return (base / name).read_text(encoding="utf-8").strip()
    lines = (base / "packed-refs").read_text(encoding="utf-8").splitlines()
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")


def describe(program: str) -> str:
    """Return what ``--version`` prints: the version in the first line, then one fact a line."""
    packages = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    loop = "uvloop" if find_spec("uvloop") else "asyncio (uvloop is not installed: extra `fast`)"
    facts = {
        "revision": revision() or "unknown",
        "installed": str(Path(exporter.__file__).parent),
        "platform": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "event loop": loop,
        "TLS": ssl.OPENSSL_VERSION,
        "packages": ", ".join(packages),
    }
    head = f"{program} {exporter.__version__} (Python {platform.python_version()})"
    return "\n".join([head, *(f"  {f'{name}:':<11} {fact}" for name, fact in facts.items())])


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
