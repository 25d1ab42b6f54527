#!/usr/bin/env python3
"""Fails if a client needs a library that its system does not bring. Prints those that it needs.

    scripts/needed-libraries.py TARGET PROGRAM
"""
import re
import sys

import lief

target, path = sys.argv[1:]
# What each system brings. On Linux nothing is needed: the client is static.
SYSTEMS = {
    "linux": r"(?!)",
    "windows": r"(?i)(advapi32|bcrypt|bcryptprimitives|crypt32|kernel32|msvcrt|ntdll|secur32|userenv|ws2_32|api-ms-win-[a-z0-9-]+)\.dll",
    "darwin": r"/usr/lib/lib(System\.B|iconv\.2|charset\.1)\.dylib|/System/Library/Frameworks/[A-Za-z]+\.framework/.*",
}
[brings] = [names for system, names in SYSTEMS.items() if f"-{system}" in target]

program = lief.parse(path)
if program is None:
    sys.exit(f"needed-libraries: {path} is not a program")
needed = sorted(library if isinstance(library, str) else library.name for library in program.libraries)
print(f"needed-libraries: {path}: {', '.join(needed) or 'none'}")
strange = [name for name in needed if not re.fullmatch(brings, name)]
if strange:
    sys.exit(f"needed-libraries: {target} does not bring {', '.join(strange)}")
