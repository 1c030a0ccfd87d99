"""Prints docs/settings.md: every setting of the product in one table, from the settings class itself."""

from __future__ import annotations

import sys

from claim_pipeline.settings import Settings

HEAD = """\
# Settings · Các tham số cấu hình

Mọi tham số của Giamdinh là biến môi trường. Bảng này được sinh từ `plugins/claim_pipeline/settings.py`
bằng `make settings-table`; đừng sửa tay.

Every setting of Giamdinh is an environment variable. This table is generated from
`plugins/claim_pipeline/settings.py` by `make settings-table`; do not edit it by hand.

| variable | default | meaning |
|---|---|---|
"""


def table() -> str:
    prefix = Settings.model_config["env_prefix"]
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table())
