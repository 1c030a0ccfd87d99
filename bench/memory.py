"""Runs one thing over one claim file in this fresh process and prints the peak of its memory in KiB."""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from pathlib import Path

from claim_pipeline import convert, extract, schema, transform
from claim_pipeline.settings import settings
from claim_pipeline.workspace import Delivery, Workspace


def main(what: str, source: Path) -> None:
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        if what == "convert":
            convert.convert(source, "4750", Path(folder) / "out.xml")
        elif what != "imports":
            ws = Workspace(Path(folder))
            shutil.copyfile(source, ws.source)
            ws.delivery = Delivery(file=source.name, sha256="0" * 64)
            extract.run(ws)
            if what == "transform":
                transform.run(ws)
            elif what == "schema":
                sum(1 for _ in schema.judge_workspace(ws))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    settings()
    main(sys.argv[1], Path(sys.argv[2]))
