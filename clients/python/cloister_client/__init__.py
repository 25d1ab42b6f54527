"""Send an algorithm to data that must not leave, and get what was agreed.

    import cloister_client as cloister

    service = cloister.connect()
    job = service.submit("analysis.py", datasets=["alice/penguins"], parameters={"groupBy": "species"})
    job.wait()
    print(job.logs())
    table = job.result("summary.csv").dataframe()

`connect` uses the address and the key of `cloister login`, or those in `CLOISTER_URL` and `CLOISTER_KEY`.
"""

from .client import Client, Job, Result, connect
from .errors import (
    Busy,
    CloisterError,
    Conflict,
    Denied,
    JobFailed,
    NotFound,
    NotSignedIn,
    Refused,
    Unreachable,
)

__all__ = [
    "Busy",
    "Client",
    "CloisterError",
    "Conflict",
    "Denied",
    "Job",
    "JobFailed",
    "NotFound",
    "NotSignedIn",
    "Refused",
    "Result",
    "Unreachable",
    "connect",
]
