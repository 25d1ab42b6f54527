"""Which service, and with which key: arguments, then the environment, then the contexts of `cloister login`."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import CloisterError, NotSignedIn

DEFAULT_URL = "http://127.0.0.1:8090"
_FIELD = re.compile(r"^( *)([^\s:#][^:#]*):(?: +(.*))?$")


@dataclass(frozen=True)
class Connection:
    """A service, and the key that is sent to it."""

    url: str
    key: str = field(repr=False)
    ca: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether the service is on this machine."""
        host = urlsplit(self.url).hostname or ""
        return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None

    def tls(self) -> ssl.SSLContext:
        """The certificates to trust."""
        return ssl.create_default_context(cafile=self.ca)


def config_path() -> Path:
    """The file of `cloister login`."""
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if os.path.isabs(folder) else Path.home() / ".config"
    return base / "cloister" / "config.yaml"


def resolve(url: str | None, key: str | None, context: str | None, ca: str | None) -> Connection:
    """Combines arguments, environment and contexts, as the command line does. The key of a context is sent only to the
    service of that context."""
    environment = {} if context else os.environ
    url = url or environment.get("CLOISTER_URL") or None
    key = key or environment.get("CLOISTER_KEY") or None
    stored: dict[str, str] = {}
    if context or not (url and key):
        stored = _context(config_path(), context)
        if url and stored and _normal(url) != _normal(stored.get("url", "")):
            if context:
                raise CloisterError(f"the context `{context}` is one of another service: leave out `url` or `context`")
            stored = {}
    url = _normal(url or stored.get("url") or DEFAULT_URL)
    if key is None and stored.get("expires", "").isdigit() and int(stored["expires"]) <= time.time():
        raise NotSignedIn("the sign-in has expired: `cloister whoami` renews it, or run `cloister login` again")
    key = key or stored.get("key") or _read_key(stored.get("keyFile"))
    if not key:
        raise NotSignedIn("no key: run `cloister login`, set CLOISTER_KEY, or call connect(key=...)")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise NotSignedIn("the key is not one line of visible characters such as clk_...")
    return Connection(url, key, ca or environment.get("CLOISTER_CA") or stored.get("ca"))


def _normal(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise CloisterError("the address of the service must begin with http:// or https://, without user and query")
    return url.rstrip("/")


def _read_key(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise CloisterError(f"the key `{path}`: {error.strerror}") from None


def _context(path: Path, name: str | None) -> dict[str, str]:
    """A context by name, or the current one; empty if there is none."""
    try:
        document = parse(path.read_text())
    except FileNotFoundError:
        document = {}
    except (OSError, ValueError) as error:
        raise CloisterError(f"`{path}`: {error}") from None
    contexts, current = document.get("contexts", {}), document.get("current")
    wanted = name or current
    found = contexts.get(wanted) if isinstance(contexts, dict) and isinstance(wanted, str) else None
    if isinstance(found, dict):
        fields = {field: text for field, text in found.items() if isinstance(text, str)}
        sign_in = found.get("signIn")
        if isinstance(sign_in, dict) and isinstance(sign_in.get("expires"), str):
            fields["expires"] = sign_in["expires"]
        return fields
    if wanted is not None:
        raise CloisterError(f"there is no context `{wanted}`: `cloister context list` shows those that there are")
    return {}


def parse(text: str) -> dict[str, Any]:
    """Mappings of texts, as `cloister login` writes them. This package needs no other YAML, so it brings no library for it.

    Raises ValueError, without quoting the text: there are keys in it."""
    root: dict[str, Any] = {}
    # The open mappings, and the indentation of each.
    stack: list[tuple[int, dict[str, Any]]] = [(0, root)]
    opened = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#") or line == "---":
            continue
        wrong = ValueError(f"line {number} is not of the form that `cloister login` writes")
        match = _FIELD.match(line.rstrip())
        if match is None:
            raise wrong
        indent = len(match[1])
        if opened and indent > stack[-2][0]:
            stack[-1] = (indent, stack[-1][1])
        while len(stack) > 1 and indent < stack[-1][0]:
            stack.pop()
        opened = False
        if indent != stack[-1][0]:
            raise wrong
        name, value = _text(match[2].strip(), wrong), (match[3] or "").strip()
        mapping = stack[-1][1]
        if name in mapping:
            raise wrong
        if value in ("{}", ""):
            inner: dict[str, Any] = {}
            mapping[name] = inner
            if value == "":
                # Its indentation is that of its first field; nothing has less than none.
                stack.append((indent + 1, inner))
                opened = True
        else:
            mapping[name] = _text(value, wrong)
    return root


def _text(text: str, wrong: ValueError) -> str:
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            raise wrong from None
        if not isinstance(value, str):
            raise wrong
        return value
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'") or "'" in text[1:-1].replace("''", ""):
            raise wrong
        return text[1:-1].replace("''", "'")
    if text[:1] in tuple("[]{}&*!|>%@`,?-") or " #" in text or ": " in text:
        raise wrong
    return text
