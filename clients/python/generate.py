#!/usr/bin/env python3
"""Writes cloister_client/types.py from schemas/openapi.json: the answers of the service that the client gives out.

    clients/python/generate.py            # writes the file
    clients/python/generate.py --check    # exit code 1 if the file is not what would be written
"""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DESCRIPTION = HERE.parents[1] / "schemas" / "openapi.json"
WRITTEN = HERE / "cloister_client" / "types.py"

# What the client gives out; the types that these name follow.
WANTED = ["Asset", "Environment", "Explanation", "Job", "JobExplanation", "JobParameters", "Problem", "Result", "SourcesSeen", "Upload", "Whoami"]

HEADER = '''"""The answers of the service. Written by clients/python/generate.py from schemas/openapi.json: do not change it here.

A later version of the service may add fields, and values to the enumerations.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict
'''

PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None", "object": "dict[str, Any]"}


def reference(schema: dict[str, Any]) -> str:
    """The Python type of a schema, as an annotation."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "enum" in schema:
        return f"Literal[{', '.join(map(json.dumps, schema['enum']))}]"
    for alternatives in ("oneOf", "anyOf"):
        if alternatives in schema:
            return " | ".join(sorted({reference(inner) for inner in schema[alternatives]}, key=lambda name: name == "None"))
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    found = []
    for kind in kinds:
        if kind == "array":
            found.append(f"list[{reference(schema['items'])}]")
        elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            found.append(f"dict[str, {reference(schema['additionalProperties'])}]")
        else:
            found.append(PLAIN[kind])
    return " | ".join(found) or "Any"


def named(schema: object) -> list[str]:
    """The names of the schemas that a schema refers to."""
    if isinstance(schema, dict):
        own = [schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in named(value)]
    return [name for value in schema for name in named(value)] if isinstance(schema, list) else []


def fields(properties: dict[str, Any], names: list[str]) -> list[str]:
    lines = []
    for name in names:
        lines.append(f"    {name}: {reference(properties[name])}")
        described = properties[name].get("description")
        if described:
            lines.append(f'    """{described}"""')
    return lines


def definition(name: str, schema: dict[str, Any]) -> str:
    described = schema.get("description", "")
    if "enum" in schema:
        return f'{name} = {reference(schema)}\n"""{described}"""'
    properties = schema["properties"]
    required = [field for field in properties if field in schema.get("required", [])]
    optional = [field for field in properties if field not in required]
    base, lines = "TypedDict", []
    if optional and required:
        lines += [f"class _{name}(TypedDict):", *fields(properties, required), "", ""]
        base = f"_{name}"
    total = ", total=False" if optional else ""
    lines += [f"class {name}({base}{total}):", f'    """{described}"""', ""]
    lines += fields(properties, optional or required)
    return "\n".join(lines)


def text() -> str:
    schemas = json.loads(DESCRIPTION.read_text())["components"]["schemas"]
    wanted, open_names = set(), list(WANTED)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names += named(schemas[name])
    parts = [definition(name, schemas[name]) for name in sorted(wanted, key=lambda name: ("enum" not in schemas[name], name))]
    return HEADER + "\n" + "\n\n\n".join(["", *parts])[2:] + "\n"


def main() -> int:
    wanted = text()
    if "--check" not in sys.argv[1:]:
        WRITTEN.write_text(wanted)
        return 0
    if WRITTEN.exists() and WRITTEN.read_text() == wanted:
        return 0
    print(f"{WRITTEN.name} is not what schemas/openapi.json says: run clients/python/generate.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
