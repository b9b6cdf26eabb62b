"""Write the committed dashboards anew."""

from __future__ import annotations

from dashboards import written

for path, text in written().items():
    path.write_text(text)
    print(f"{path.relative_to(path.parent.parent.parent)}: {len(text) // 1024} KiB")
