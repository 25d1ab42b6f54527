"""The answers of the service. Written by clients/python/generate.py from schemas/openapi.json: do not change it here.

A later version of the service may add fields, and values to the enumerations.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict


AssetKind = Literal["dataset", "algorithm"]
"""What an asset is."""


DenialRule = Literal["no-dataset", "no-compute-service", "dataset-twice", "credentials-allow", "credentials-deny", "credentials-unknown", "raw-algorithm", "algorithm-not-trusted", "files-checksum", "container-section-checksum", "private-algorithm", "runtime", "profile", "network-access", "environment-runtime", "environment-interpreter", "environment-profile", "environment-network", "environment-isolation", "environment-registry", "container-image", "container-command", "output-contract", "ocean-provider", "withdrawn", "changed", "narrowed"]
"""A rule that can keep a job from running."""


Fault = Literal["nobody", "algorithm", "publisher", "system"]
"""Who caused the end of a job."""


Phase = Literal["Queued", "Accepted", "Configuring", "Configured", "Running", "Filtering", "InReview", "Publishing", "Finished", "DataProvisioningFailed", "AlgorithmProvisioningFailed", "AlgorithmFailed", "LimitExceeded", "OutputRefused", "PublishingFailed", "Stopped", "Expired"]
"""The phase of a job."""


Profile = Literal["deterministic", "standard"]
"""What an algorithm may learn of time and chance. `deterministic`: a virtual clock and seeded randomness. `standard`: the real clock and entropy."""


ResultKind = Literal["output", "algorithmLog", "configrationLog", "filteringLog", "publishLog"]
"""What a file of a job is, in Ocean's words."""


Role = Literal["consumer", "author", "publisher", "operator"]
"""What an account may do."""


Runtime = Literal["wasm", "container"]
"""What an algorithm runs in."""


ServiceType = Literal["access", "compute"]
"""What a service allows."""


SourceState = Literal["found", "failed", "skipped"]
"""Whether a source can be read."""


Via = Literal["key", "token", "signature"]
"""How the caller was authenticated."""


class _Asset(TypedDict):
    created: str
    did: str
    kind: AssetKind
    name: str
    """What its owner calls it."""
    owner: str
    revision: int
    """Grows with every change."""
    services: list[Service]
    title: str
    updated: str


class Asset(_Asset, total=False):
    """A dataset or an algorithm."""

    containerSectionChecksum: str | None
    """An algorithm's container section, as datasets' permissions name it."""
    ddo: dict[str, Any] | None
    """Its description. Where its files are, only its owner sees. Lists leave it out."""
    filesChecksum: str | None
    """An algorithm's files, as datasets' permissions name them."""
    withdrawn: str | None
    """When it was withdrawn: no job can use it any more."""


class Environment(TypedDict):
    """Where jobs run."""

    cpus: int
    """Processors for all jobs."""
    description: str
    id: str
    images: dict[str, str]
    """Image names, and what runs their scripts in the sandbox."""
    interpreters: list[str]
    """Installed interpreters."""
    jobMemoryBytes: int
    """The most memory of one job."""
    maxJobs: int
    """The most jobs at once."""
    maxQueued: int
    """The most jobs that wait."""
    maxWallMs: int
    """The longest run."""
    memoryBytes: int
    """Memory for all jobs."""
    phases: dict[str, int]
    """How many jobs are in each phase."""
    profiles: list[Profile]
    """Which clock and randomness they can get."""
    queued: int
    running: int
    runtimes: list[Runtime]
    """What algorithms can run in."""


class _Explanation(TypedDict):
    allowed: bool
    rules: list[Rule]
    """Every rule that refuses it; empty if it is allowed."""


class Explanation(_Explanation, total=False):
    """Whether a job would be allowed, and why."""

    missingInterpreter: str | None
    """The interpreter that is not installed, if `environment-interpreter` is one of the rules."""
    terms: dict[str, Any] | None
    """What it would be allowed."""


class _Job(TypedDict):
    algorithm: JobAlgorithm
    changed: str
    """When it entered its phase."""
    code: int
    """The same as a number, in Ocean's numbers."""
    created: str
    """When it was allowed."""
    datasets: list[str]
    """Its datasets, sorted."""
    history: list[Step]
    """Every phase that it has entered."""
    id: str
    """32 hexadecimal digits."""
    phase: Phase
    """Where it is."""
    phaseText: str
    """The same as a text."""
    revision: int
    """Grows with every change."""


class Job(_Job, total=False):
    """How a job is doing."""

    agreementId: str | None
    """Ocean's agreement, if it came through Ocean's API."""
    ended: str | None
    environment: str | None
    """Where it runs."""
    expires: str | None
    """When its results are deleted."""
    label: str | None
    """What its owner calls it."""
    owner: str | None
    """The account that submitted it."""
    progress: Progress | None
    reason: Reason | None
    stopRequested: str | None
    """When it was asked to stop."""
    storeWait: StoreWait | None
    withheldLog: WithheldLog | None


class _JobAlgorithm(TypedDict):
    raw: bool
    """Whether the job brought it."""


class JobAlgorithm(_JobAlgorithm, total=False):
    """What a job runs."""

    did: str | None
    """Its DID, if it is published."""


class _JobExplanation(TypedDict):
    phase: Phase
    terms: dict[str, Any]
    """What was decided when it was submitted."""
    text: str


class JobExplanation(_JobExplanation, total=False):
    """Why a job is in its phase."""

    ahead: int | None
    """Jobs that come before it; null if it does not wait for its turn."""
    detail: str | None
    """Details of its failure, for the publisher of the files that could not be fetched, for the account that brought them, and for
operators. They can name where the files are kept."""
    review: ReviewWait | None


class _JobParameters(TypedDict):
    arguments: list[str]
    """The arguments of its program."""
    values: dict[str, Any]
    """What it finds in `algoCustomData.json`."""


class JobParameters(_JobParameters, total=False):
    """What the consumer of a job gives its algorithm in addition to the data."""

    stdin: str | None
    """What its program reads as its standard input, as an entrypoint says it: `< PATH` or `<<< TEXT`; null if nothing."""


class LastSourceCheck(TypedDict):
    """The last check of the sources of a dataset."""

    at: str
    """When."""
    current: bool
    """Whether the dataset still has that revision. Otherwise its sources may be other ones now."""
    others: int
    """How many more there are."""
    revision: int
    """The revision of the dataset that was checked."""
    sources: list[SourceCheck]
    """The sources, 100 at most."""


class _Problem(TypedDict):
    detail: str
    """What happened here, and what to do."""
    status: int
    """The HTTP status."""
    title: str
    """The kind in a few words."""
    type: str
    """The kind of problem."""


class Problem(_Problem, total=False):
    """Why a request was not done (RFC 9457)."""

    field: str | None
    """The field of the request that it is about."""
    quota: UsedQuota | None
    rules: list[Rule] | None
    """The rules that refused a job."""


class _Progress(TypedDict):
    doneBytes: int


class Progress(_Progress, total=False):
    """How many bytes of its inputs are fetched."""

    totalBytes: int | None


class Reason(TypedDict):
    """Why a job ended."""

    fault: Fault
    text: str


class Result(TypedDict):
    """A file of a job."""

    bytes: int
    index: int
    """Its place in the list."""
    kind: ResultKind
    name: str
    """Its path below `/data/outputs`, or a log's name; made safe to show."""
    sha256: str


class _ReviewWait(TypedDict):
    reviewers: list[str]
    """The publishers of the datasets that ask for a review. If there are several, an operator decides, because none of them
alone can."""
    until: str
    """When the job expires unless the outputs are reviewed."""


class ReviewWait(_ReviewWait, total=False):
    """Who can review the outputs of a job."""

    approvedBy: str | None
    """The first approval, where two accounts have to approve."""
    named: list[str]
    """Accounts that their publisher has named as further reviewers. If there are any, two different accounts have to approve."""


class _Rule(TypedDict):
    advice: str
    """What to do about it."""
    rule: DenialRule
    text: str
    """What is wrong."""


class Rule(_Rule, total=False):
    """A rule that refuses a job."""

    subject: str | None
    """The asset whose rule it is; null if it is about the job as a whole."""


class Service(TypedDict):
    """How an asset may be used."""

    id: str
    type: ServiceType


class _SourceCheck(TypedDict):
    field: str
    """Its place in the description of the dataset, such as `services[0].files[0]`."""
    place: str
    """Where it is: at most its scheme and host."""
    state: SourceState


class SourceCheck(_SourceCheck, total=False):
    """What one source gave."""

    bytes: int | None
    """Its size in bytes, if it is known."""
    problem: str | None
    """Why it could not be read."""
    sha256: str | None
    """The digest that was agreed, if the file was compared with it. Large files are not."""


class _SourceProvision(TypedDict):
    at: str
    """When the attempt ended."""
    id: str
    """Which job."""


class SourceProvision(_SourceProvision, total=False):
    """The end of an attempt to give a dataset to a job."""

    problem: str | None
    """Why it failed. Absent: the job got the files."""


class SourcesSeen(TypedDict, total=False):
    """What the service knows about the sources of a dataset without contacting them."""

    check: LastSourceCheck | None
    job: SourceProvision | None


class Step(TypedDict):
    """A phase that a job has entered."""

    at: str
    phase: Phase


class StoreWait(TypedDict):
    """The wait for a result store that does not answer or refuses results."""

    failures: int
    """How many attempts have failed."""
    next: str
    """When the next attempt begins, unless an earlier one is requested."""
    since: str
    """When the first attempt failed."""
    until: str
    """When the job ends without results, if the store has not taken the results by then."""
    why: str
    """Why the last attempt failed, and what can be done."""


class _Upload(TypedDict):
    bytes: int
    sha256: str
    """What to name it by, in a job or an asset."""


class Upload(_Upload, total=False):
    """A file that was sent."""

    admission: dict[str, Any] | None
    """For a WebAssembly program: what it is and asks for, and whether it may run."""


class UsedQuota(TypedDict):
    """A limit that you have reached."""

    limit: int
    """How much you may have."""
    name: str
    """`upload-bytes`, `stranger-upload-bytes`, `uploads`, `assets` or `result-bytes`. There may be more in a later version."""
    used: int
    """How much you have."""


class Whoami(TypedDict):
    """Who you are here."""

    account: str
    role: Role
    via: Via


class _WithheldLog(TypedDict):
    by: list[str]
    """The datasets whose rules withhold it."""
    missing: list[str]
    """Those of them whose publisher has not released it yet."""
    text: str
    """The same as a text, with what can be done."""


class WithheldLog(_WithheldLog, total=False):
    """A log that the rules of datasets keep from the consumer. Their publishers can read it."""

    released: str | None
    """When the last of their publishers released it; null: the consumer may not read it."""
