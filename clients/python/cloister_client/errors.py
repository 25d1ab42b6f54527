"""What can go wrong. Every error of this package is a `CloisterError`."""

from __future__ import annotations

import json
from typing import Any, cast

from .types import Job, Problem, Rule

# Characters of one text.
_MOST = 2000


def shown(text: object) -> str:
    """Text of the service or of an algorithm on one line: bounded, and without characters that act on a terminal."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)[: _MOST + 1])
    return line if len(str(text)) <= _MOST else line[:_MOST] + "…"


class CloisterError(Exception):
    """An error of this package."""


class NotSignedIn(CloisterError):
    """There is no key, or the service does not accept it."""


class Unreachable(CloisterError):
    """The service does not answer, or the connection broke."""


class Refused(CloisterError):
    """The service refused the request."""

    problem: Problem
    """The problem document (RFC 9457)."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(_describe(problem))

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem["status"]

    @property
    def field(self) -> str | None:
        """The field of the request that the problem is about."""
        return self.problem.get("field")

    @property
    def rules(self) -> list[Rule]:
        """The rules that refused a job."""
        return self.problem.get("rules") or []


class Denied(Refused):
    """The caller may not do this. For a job: `rules` says which rules refused it, and what to do about each."""


class NotFound(Refused):
    """It does not exist, or the caller may not see it."""


class Conflict(Refused):
    """Not possible in the present state."""


class Busy(Refused):
    """The service is busy: try again later."""


class JobFailed(CloisterError):
    """The job ended, but did not finish."""

    job: Job
    """The job as it ended."""

    def __init__(self, job: Job) -> None:
        self.job = job
        reason = job.get("reason")
        because = f": {shown(reason['text'])} (fault: {shown(reason['fault'])})" if reason else ""
        withheld = job.get("withheldLog")
        log = f"\n{shown(withheld['text'])}" if withheld and not withheld.get("released") else ""
        super().__init__(f"job {job['id']} ended in {shown(job['phase'])}{because}{log}")


def _describe(problem: Problem) -> str:
    field = f", field `{shown(problem.get('field'))}`" if problem.get("field") else ""
    text = f"{shown(problem['title'])} ({problem['status']}){field}: {shown(problem['detail'])}"
    for rule in (problem.get("rules") or [])[:100]:
        subject = f" ({shown(rule.get('subject'))})" if rule.get("subject") else ""
        text += f"\n  - {shown(rule.get('rule'))}: {shown(rule.get('text'))}{subject}; {shown(rule.get('advice'))}"
    return text


def refusal(status: int, body: bytes) -> CloisterError:
    """The error for an answer with this status. Any body becomes a problem."""
    try:
        document: Any = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"detail": body.decode("utf-8", "replace")}
    problem = cast(
        Problem,
        {**document, "type": str(document.get("type", "about:blank")), "status": status}
        | {"title": str(document.get("title", "the service refused")), "detail": str(document.get("detail", ""))},
    )
    if not isinstance(problem.get("rules"), list) or not all(isinstance(rule, dict) for rule in problem["rules"] or []):
        problem["rules"] = None
    if status == 401:
        return NotSignedIn(_describe(problem))
    kinds: dict[int, type[Refused]] = {403: Denied, 404: NotFound, 410: NotFound, 409: Conflict, 412: Conflict}
    kinds |= {408: Busy, 429: Busy, 503: Busy}
    return kinds.get(status, Refused)(problem)
