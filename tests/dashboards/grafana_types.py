"""Holds the committed dashboards against the types that Grafana publishes, of any version.

Needs npm and the network, hence no part of the tests: ``python -m tests.dashboards.grafana_types
10.4.0 13.2.3``. Each page becomes a literal of the type ``Dashboard``, each panel's options and
field config literals of its own plugin's types: TypeScript names every key that the version does
not know and every value that it does not take. What is left out, Grafana fills in.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.dashboards.queries import pages, panels

COMPILER = "typescript@5"
# Read by the Prometheus data source alone, which publishes no types for them.
UNTYPED = ("definition", "expr")
PLUGINS = {
    "timeseries": "timeseries",
    "stat": "stat",
    "state-timeline": "statetimeline",
    "table": "table",
    "heatmap": "heatmap",
}
HEAD = """\
type Deep<T> = T extends (infer U)[] ? Deep<U>[]
  : T extends object ? {[K in keyof T]?: Deep<T[K]>} : T;
"""
OPTIONS = {
    "strict": True,
    "noEmit": True,
    "skipLibCheck": True,
    "moduleResolution": "bundler",
    "module": "esnext",
    "target": "es2022",
    "types": [],
}
_ENUM = re.compile(
    r"((?:export )?)(?:declare )?(?:const )?enum (\w+) \{(.*?)\n\}", re.DOTALL | re.MULTILINE
)


def _loosen(package: Path) -> None:
    """Turn enums into unions of their values: JSON holds values, not names."""

    def union(found: re.Match[str]) -> str:
        values = re.findall(r"=\s*(\"[^\"]*\"|-?\d+)", found[3])
        return f"{found[1]}type {found[2]} = {' | '.join(values)};"

    for path in (*package.rglob("*.d.ts"), *package.rglob("*.d.[cm]ts")):
        path.write_text(_ENUM.sub(union, path.read_text()))


def _module(folder: Path, inside: str) -> Path:
    """Find the types below a folder of the package, wherever this version keeps them."""
    found = sorted(p for p in folder.rglob("*gen.d.ts") if inside in p.as_posix())
    if not found:
        raise LookupError(f"no types in {inside}")
    return found[0]


def _literals(folder: Path) -> Iterator[str]:
    """Yield the lines of a program that only compiles if the version knows all that we write."""
    types = {
        plugin: _module(folder, f"composable/{plugin}/panelcfg") for plugin in PLUGINS.values()
    }
    places = {"dashboard": _module(folder, "raw/dashboard/x"), **types}
    for name, path in places.items():
        where = "./" + path.relative_to(folder).as_posix().removesuffix(".d.ts")
        yield f'import type * as {name} from "{where}";\n'
    yield HEAD
    for page, document in pages().items():
        bare = {key: value for key, value in document.items() if key != "panels"}
        yield _literal(f"{page}", "dashboard.Dashboard", bare)
        for number, panel in enumerate(panels(document)):
            bare = {key: value for key, value in panel.items() if key != "panels"}
            if panel["type"] == "row":
                yield _literal(f"{page}_{number}", "dashboard.RowPanel", bare)
                continue
            plugin = PLUGINS[panel["type"]]
            yield _literal(f"{page}_{number}", "dashboard.Panel", bare)
            yield _literal(f"{page}_{number}_options", f"{plugin}.Options", panel["options"])
            custom = panel["fieldConfig"]["defaults"].get("custom")
            if custom and "FieldConfig" in types[plugin].read_text():
                yield _literal(f"{page}_{number}_custom", f"{plugin}.FieldConfig", custom)


def _literal(name: str, kind: str, value: Any) -> str:
    return f"export const {name}: Deep<{kind}> = {json.dumps(value, indent=1)};\n"


def complaints(version: str) -> list[str]:
    """Return what Grafana's types of this version say of the dashboards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = (f"@grafana/schema@{version}", COMPILER)
        install = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *wanted)
        subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=300)
        _loosen(folder / "node_modules/@grafana/schema")
        (folder / "check.ts").write_text("".join(_literals(folder)))
        asked = {"compilerOptions": OPTIONS, "files": ["check.ts"]}
        (folder / "tsconfig.json").write_text(json.dumps(asked))
        compiler = folder / "node_modules/typescript/bin/tsc"
        done = subprocess.run(
            ("node", str(compiler), "-p", "."),
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    known = re.compile(rf"and '\"({'|'.join(UNTYPED)})\"' does not exist")
    if done.returncode != 0 and not lines:
        raise RuntimeError(done.stderr)
    return [line for line in lines if not known.search(line)]


def main() -> int:
    """Print what each version complains of; the exit status is 1 if any does."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("versions", nargs="+", help="of @grafana/schema")
    wrong = 0
    for version in parser.parse_args().versions:
        found = complaints(version)
        wrong += len(found)
        print(f"Grafana {version}: {len(found)} complaints", *found, sep="\n  ")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
