#!/usr/bin/env python3
"""Puts the programs of crates/sandbox/src/runtime/python and .../javascript into the manifests beside them, and makes that of
python-plain, which is python's without the snapshot:

    scripts/runtime-manifest.py

They are a part of the manifest, so that its digest covers them. After a change of Python's, `sandbox runtime add python` says which
digest the snapshot has now; put it into `snapshot.sha256`.
"""
import json
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "crates/sandbox/src/runtime"


def text(guest, file):
    return {"guest": guest, "lines": file.read_text().splitlines()}


def write(name, change):
    path = FOLDER / f"{name}.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def python(manifest):
    files = sorted((FOLDER / "python").glob("*.py"))
    manifest["snapshot"]["files"] = [text(f"/usr/local/lib/{file.name}", file) for file in files]


def python_plain(manifest):
    python = json.loads((FOLDER / "python.json").read_text())
    del python["snapshot"]
    manifest.update(python, name=manifest["name"], description=manifest["description"])


def javascript(manifest):
    files = sorted((FOLDER / "javascript").glob("*.js"))
    manifest["texts"] = [text(f"/usr/local/lib/javascript/{file.name}", file) for file in files]


write("python", python)
write("python-plain", python_plain)
write("javascript", javascript)
