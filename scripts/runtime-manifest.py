#!/usr/bin/env python3
"""Puts the programs of crates/sandbox/src/runtime/python into the manifest python.json beside them:

    scripts/runtime-manifest.py

They are a part of the manifest, so that its digest covers them. After a change, `sandbox runtime add python` says which digest the
snapshot has now; put it into `snapshot.sha256`.
"""
import json
import pathlib

folder = pathlib.Path(__file__).resolve().parent.parent / "crates/sandbox/src/runtime"
path = folder / "python.json"
manifest = json.loads(path.read_text())
files = [
    {"guest": f"/usr/local/lib/{file.name}", "lines": file.read_text().splitlines()}
    for file in sorted((folder / "python").glob("*.py"))
]
manifest["snapshot"]["files"] = files
path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
