#!/usr/bin/env python3
"""Writes what a linker has to know of Apple's frameworks to link a client for macOS elsewhere: their names, and those of their functions.

    scripts/apple-frameworks.py TARGET DIR

Crates that bind a framework declare its functions: they are read there, so that nothing of Apple's is needed. A program that is linked
like this finds the framework itself on the machine that it runs on. DIR is for the option -F of the linker.
"""
import json
import pathlib
import re
import subprocess
import sys

target, into = sys.argv[1], pathlib.Path(sys.argv[2])
# What the client needs: rustls-platform-verifier asks macOS whom it trusts.
CRATES = ["core-foundation-sys", "security-framework-sys"]
ARCHITECTURES = "[ x86_64-macos, arm64-macos ]"

FRAMEWORK = re.compile(r'link\(name = "(\w+)", kind = "framework"\)')
BLOCK = re.compile(r'extern "C" \{(.*?)^\s*\}', re.DOTALL | re.MULTILINE)
DECLARED = re.compile(r"\bpub (?:fn|static(?: mut)?) (\w+)")
RENAMED = re.compile(r'link_name = "([^"]+)"')


def stub(framework, symbols):
    """A text-based definition of a dynamic library, in the form that Apple's linker reads."""
    path = f"/System/Library/Frameworks/{framework}.framework/Versions/A/{framework}"
    listed = ",\n                    ".join(f"'_{symbol}'" for symbol in symbols)
    return f"""--- !tapi-tbd
tbd-version:     4
targets:         {ARCHITECTURES}
install-name:    '{path}'
exports:
  - targets:     {ARCHITECTURES}
    symbols:      [ {listed} ]
...
"""


command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
for crate in CRATES:
    [package] = [package for package in packages if package["name"] == crate]
    sources = sorted((pathlib.Path(package["manifest_path"]).parent / "src").rglob("*.rs"))
    texts = [source.read_text() for source in sources]
    [framework] = {name for text in texts for name in FRAMEWORK.findall(text)}
    blocks = [block for text in texts for block in BLOCK.findall(text)]
    symbols = sorted({name for block in blocks for name in DECLARED.findall(block) + RENAMED.findall(block)})
    folder = into / f"{framework}.framework"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{framework}.tbd").write_text(stub(framework, symbols))
