"""The client: datasets, jobs and their results."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request, build_opener

from . import types
from .contexts import Connection, resolve
from .errors import CloisterError, JobFailed, NotFound, Unreachable, refusal, shown

if TYPE_CHECKING:
    import pandas

# Bytes of a JSON answer, of a problem document, and of what is read at once.
_MOST_JSON, _MOST_PROBLEM, _PIECE = 64 << 20, 1 << 20, 256 << 10
# How often a download that breaks is resumed without a byte in between.
_ATTEMPTS = 5


def connect(
    *, context: str | None = None, url: str | None = None, key: str | None = None, ca: str | None = None
) -> Client:
    """Connects to a service, and checks the key.

    `url` and `key` default to `CLOISTER_URL` and `CLOISTER_KEY`, then to the current context of `cloister login`. `context`
    names another one. `ca` is a PEM file with the certificates to trust."""
    client = Client(resolve(url, key, context, ca))
    client.whoami()
    return client


class _NoRedirects(HTTPRedirectHandler):
    """A redirect must not carry the key to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Client:
    """A service, and an account there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        handlers: list[Any] = [_NoRedirects()]
        if connection.url.startswith("https:"):
            handlers.append(HTTPSHandler(context=connection.tls()))
        if connection.is_loopback:
            handlers.append(ProxyHandler({}))
        self._opener: OpenerDirector = build_opener(*handlers)

    def __repr__(self) -> str:
        return f"<cloister_client.Client of {self._connection.url}>"

    def whoami(self) -> types.Whoami:
        """Your account and role."""
        return self._get("whoami")

    def datasets(self, *, owner: str | None = None, name: str | None = None) -> list[types.Asset]:
        """The datasets that you may see."""
        return list(self._pages("datasets", {"owner": owner, "name": name}))

    def algorithms(self, *, owner: str | None = None, name: str | None = None) -> list[types.Asset]:
        """The algorithms that you may see."""
        return list(self._pages("algorithms", {"owner": owner, "name": name}))

    def sources(self, dataset: str) -> types.SourcesSeen:
        """The last check of the sources of a dataset of yours, and the last job that needed them. Contacts no source."""
        return self._get("datasets", self._did("datasets", dataset), "check")

    def environments(self) -> list[types.Environment]:
        """Where jobs run."""
        return self._get("environments")["items"]

    def jobs(self, *, dataset: str | None = None) -> Iterator[Job]:
        """Your jobs, newest first; with `dataset`, those on a dataset of yours."""
        query = {"dataset": self._did("datasets", dataset) if dataset else None}
        return (Job(self, cast(types.Job, found)) for found in self._pages("jobs", query))

    def job(self, id: str) -> Job:
        """A job by its id."""
        return Job(self, self._get("jobs", id))

    def submit(
        self,
        algorithm: str | os.PathLike[str],
        *,
        datasets: str | Iterable[str],
        parameters: Mapping[str, Any] | None = None,
        label: str | None = None,
        image: str | None = None,
        **more: Any,
    ) -> Job:
        """Submits a job.

        `algorithm` is a program, a script or a folder with `__main__.py` on this machine; if there is no such file, it is a
        published algorithm: OWNER/NAME, a name of yours, or a DID. `datasets` are named likewise. `image` is what runs a
        script, if it is not Python. `more` are fields of the request, such as `environment`, `limits` and `encryptTo`.

        Raises `Denied` if a rule refuses the job; `explain` tells before."""
        request = self._request(algorithm, datasets, parameters, image, {"label": label, **more})
        return Job(self, self._post("jobs", body=request))

    def explain(
        self,
        algorithm: str | os.PathLike[str],
        *,
        datasets: str | Iterable[str],
        parameters: Mapping[str, Any] | None = None,
        image: str | None = None,
        **more: Any,
    ) -> types.Explanation:
        """Whether a job would be allowed, and if not, by which rules. Submits nothing."""
        return self._post("explain", body=self._request(algorithm, datasets, parameters, image, more))

    def upload(self, path: str | os.PathLike[str]) -> types.Upload:
        """Uploads a file, or a folder as an archive."""
        with _opened(Path(path)) as file:
            digest, size = _digest(file)
            file.seek(0)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(size),
                "Content-Digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
            }
            with self._open("POST", ["uploads"], data=file, headers=headers) as answer:
                uploaded = cast(types.Upload, _json(answer))
        if uploaded["sha256"] != digest.hexdigest():
            raise CloisterError(f"`{path}`: the service received other bytes; did the file change during the upload?")
        return uploaded

    # What follows is for this package.

    def _request(
        self,
        algorithm: str | os.PathLike[str],
        datasets: str | Iterable[str],
        parameters: Mapping[str, Any] | None,
        image: str | None,
        more: Mapping[str, Any],
    ) -> dict[str, Any]:
        names = [datasets] if isinstance(datasets, str) else list(datasets)
        request = {
            "datasets": [self._did("datasets", name) for name in names],
            "algorithm": self._algorithm(algorithm, image),
            "parameters": dict(parameters) if parameters is not None else None,
            **more,
        }
        return {field: value for field, value in request.items() if value is not None}

    def _algorithm(self, algorithm: str | os.PathLike[str], image: str | None) -> dict[str, Any]:
        path = Path(algorithm)
        if not path.exists():
            name = os.fspath(algorithm)
            if not isinstance(algorithm, str) or path.suffix in (".py", ".pyz", ".wasm", ".zip") or name[:1] in "./":
                raise CloisterError(f"`{name}`: no such file")
            return {"did": self._did("algorithms", name)}
        if image is None and (path.is_dir() or path.suffix in (".py", ".pyz")):
            image = "python"
        if image is None and _head(path) != b"\0asm":
            raise CloisterError(f"`{path}` is neither WebAssembly nor *.py nor a folder: name what runs it with image=")
        sent: dict[str, Any] = {"upload": self.upload(path)["sha256"]}
        if image not in (None, "wasm"):
            entrypoint = "python3 $ALGO" if image == "python" else "$ALGO"
            sent["container"] = {"image": image, "entrypoint": entrypoint}
        return sent

    def _did(self, kind: str, name: str) -> str:
        """The DID of an asset that is named as on the command line."""
        is_digest = len(name) == 64 and all(c in "0123456789abcdefABCDEF" for c in name)
        if name.startswith("did:") or is_digest:
            return name
        owner, slash, last = name.rpartition("/")
        found = self._get(kind, query={"owner": owner if slash else self.whoami()["account"], "name": last})["items"]
        if not found:
            what = kind.removesuffix("s")
            detail = f"there is no {what} `{shown(name)}`, or you may not see it"
            raise NotFound({"type": "about:blank", "title": "Not found", "status": 404, "detail": detail})
        return found[0]["did"]

    def _pages(self, kind: str, query: Mapping[str, str | None]) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            page = self._get(kind, query={**query, "cursor": cursor})
            yield from page["items"]
            # A service that repeats itself must not keep this loop running for ever.
            if not page.get("next") or page["next"] == cursor or not page["items"]:
                return
            cursor = page["next"]

    def _get(self, *segments: str, query: Mapping[str, str | None] | None = None) -> Any:
        with self._open("GET", segments, query=query) as answer:
            return _json(answer)

    def _post(self, *segments: str, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        with self._open("POST", segments, data=json.dumps(body).encode(), headers=headers) as answer:
            return _json(answer)

    def _delete(self, *segments: str) -> None:
        with self._open("DELETE", segments):
            pass

    def _open(
        self,
        method: str,
        segments: Iterable[str],
        *,
        query: Mapping[str, str | None] | None = None,
        data: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> IO[bytes]:
        path = "/".join(quote(segment, safe="") for segment in segments)
        given = {name: value for name, value in (query or {}).items() if value is not None}
        address = f"{self._connection.url}/v1/{path}{'?' + urlencode(given) if given else ''}"
        request = Request(address, data=data, headers=dict(headers or {}), method=method)
        # Not among the headers that a redirect or a proxy would get.
        request.add_unredirected_header("Authorization", f"Bearer {self._connection.key}")
        request.add_header("User-Agent", "cloister-client/0.1.0")
        try:
            return cast("IO[bytes]", self._opener.open(request, timeout=120))
        except HTTPError as error:
            with error:
                raise refusal(error.code, error.read(_MOST_PROBLEM)) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(f"cannot reach the service at {self._connection.url}: {shown(reason)}") from None


class Job:
    """A job."""

    def __init__(self, client: Client, state: types.Job) -> None:
        self._client = client
        self.state = state
        """What the service last said about it."""

    def __repr__(self) -> str:
        label = self.state.get("label")
        return f"<cloister_client.Job {self.id} {shown(self.phase)}{' ' + repr(shown(label)) if label else ''}>"

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        return self.state["id"]

    @property
    def phase(self) -> str:
        """Where it was when the service was asked last."""
        return self.state["phase"]

    def refresh(self) -> Job:
        """Asks the service where the job is."""
        self.state = self._client._get("jobs", self.id)
        return self

    def wait(self, timeout: float | None = None, *, progress: bool = False) -> Job:
        """Waits until the job has ended, at most `timeout` seconds. `progress` prints each phase that it comes to.

        Raises `JobFailed` if it did not finish, and `TimeoutError`. Interrupting the waiting leaves the job running."""
        until = None if timeout is None else time.monotonic() + timeout
        seen, pause = "", 0.2
        while True:
            if progress and self.phase != seen:
                print(f"job {self.id}: {shown(self.phase)}", flush=True)
            seen = self.phase
            if self.state.get("ended"):
                break
            left = pause if until is None else min(pause, until - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"job {self.id} is {shown(self.phase)} and has not ended in {timeout} seconds")
            time.sleep(left)
            pause = min(pause * 1.5, 5.0)
            self.refresh()
        if self.phase != "Finished":
            raise JobFailed(self.state)
        return self

    def stop(self) -> Job:
        """Requests that the job is stopped."""
        self.state = self._client._post("jobs", self.id, "stop", body={})
        return self

    def publish(self) -> Job:
        """Requests that results that wait for a result store are stored at once, and not after the next pause. `state["storeWait"]`
        says until when they wait.

        Raises `Conflict` if the results do not wait for the store."""
        self.state = self._client._post("jobs", self.id, "publish", body={})
        return self

    def delete(self) -> None:
        """Deletes a job that has ended, with its log and its results."""
        self._client._delete("jobs", self.id)

    def explain(self) -> types.JobExplanation:
        """Why the job is where it is."""
        return self._client._get("jobs", self.id, "explain")

    def parameters(self) -> types.JobParameters:
        """What you gave the algorithm: `values`, and `arguments` and `stdin` of its program. Who reviews the outputs sees it meanwhile."""
        return self._client._get("jobs", self.id, "parameters")

    def logs(self) -> str:
        """The log of the algorithm, as far as the datasets' publishers let it out. An algorithm's text: before you print it on a
        terminal, think of what characters can do there."""
        with self._client._open("GET", ["jobs", self.id, "log"]) as answer:
            return _read(answer, _MOST_JSON).decode("utf-8", "replace")

    def receipt(self) -> dict[str, Any]:
        """The signed statement of what ran on what data, and what came out."""
        return self._client._get("jobs", self.id, "receipt")

    def results(self) -> list[Result]:
        """What came out."""
        items = self._client._get("jobs", self.id, "results")["items"]
        return [Result(self, item) for item in items]

    def result(self, name: str) -> Result:
        """The result of this name."""
        results = self.results()
        for result in results:
            if result.name == name:
                return result
        there = ", ".join(shown(result.name) for result in results) or "none"
        raise CloisterError(f"job {self.id} has no result `{shown(name)}`; there are: {there}")

    def download(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Downloads all results into a folder. Files that are there are left as they are: it is an error if they differ."""
        return [result.save(folder) for result in self.results()]


class Result:
    """A file that came out of a job. Its name and content are what an algorithm wrote: treat them like an e-mail attachment."""

    def __init__(self, job: Job, described: types.Result) -> None:
        self._job = job
        self.described = described
        """What the service says about it."""

    def __repr__(self) -> str:
        return f"<cloister_client.Result {shown(self.name)!r}, {self.described['bytes']} bytes>"

    @property
    def name(self) -> str:
        """Its path below `/data/outputs`."""
        return self.described["name"]

    def read(self) -> bytes:
        """Its content, which has the SHA-256 that the service lists."""
        buffer = io.BytesIO()
        self._fetch(buffer)
        return buffer.getvalue()

    def text(self) -> str:
        """Its content as text."""
        return self.read().decode()

    def json(self) -> Any:
        """Its content, which is JSON."""
        return json.loads(self.read())

    def dataframe(self, **options: Any) -> pandas.DataFrame:
        """Its content, which is CSV or JSON, as a table. Needs pandas. `options` are those of `pandas.read_csv` or `read_json`."""
        try:
            import pandas
        except ImportError:
            raise CloisterError("a table needs pandas: pip install pandas") from None
        read = pandas.read_json if PurePosixPath(self.name).suffix == ".json" else pandas.read_csv
        return read(io.BytesIO(self.read()), **options)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Saves it below a folder, under its own name if that is safe, and never outside of the folder or through a link."""
        base = Path(folder)
        base.mkdir(parents=True, exist_ok=True)
        target = base / self._safe_name()
        for parent in reversed(target.relative_to(base).parents[:-1]):
            if not (base / parent).exists() and not (base / parent).is_symlink():
                (base / parent).mkdir()
            if (base / parent).is_symlink() or not (base / parent).is_dir():
                raise CloisterError(f"`{base / parent}` is a link, or not a folder")
        if target.is_symlink() or target.exists():
            if not target.is_symlink() and target.is_file():
                with target.open("rb") as file:
                    if _digest(file)[0].hexdigest() == self.described["sha256"]:
                        return target
            raise CloisterError(f"`{target}` exists with other content")
        with tempfile.NamedTemporaryFile(dir=base, prefix=".cloister-", delete=False) as file:
            try:
                self._fetch(cast("IO[bytes]", file))
                file.close()
                os.replace(file.name, target)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        return target

    def _safe_name(self) -> PurePosixPath:
        segments = self.name.split("/")
        is_plain = len(segments) <= 32 and all(
            0 < len(part.encode()) <= 255 and part not in (".", "..") and part.isprintable() and "\\" not in part
            and not part.startswith(".cloister-")
            for part in segments
        )
        return PurePosixPath(self.name if is_plain else f"result-{self.described['index']}")

    def _fetch(self, to: IO[bytes]) -> None:
        """Writes the content; resumes a download that breaks."""
        digest, have, size, attempts = hashlib.sha256(), 0, self.described["bytes"], 0
        segments = ["jobs", self._job.id, "results", str(self.described["index"])]
        while have < size:
            headers = {"Range": f"bytes={have}-", "If-Range": f'"{self.described["sha256"]}"'} if have else {}
            before = have
            try:
                with self._job._client._open("GET", segments, headers=headers) as answer:
                    if have and getattr(answer, "status", 200) != 206:
                        raise CloisterError(f"`{shown(self.name)}` changed during the download")
                    while piece := answer.read(_PIECE):
                        have += len(piece)
                        if have > size:
                            raise CloisterError("the service sends more bytes than it lists")
                        digest.update(piece)
                        to.write(piece)
            except (OSError, HTTPException, Unreachable) as error:
                attempts = 0 if have > before else attempts + 1
                if attempts >= _ATTEMPTS:
                    raise Unreachable(f"the download of `{shown(self.name)}` broke: {shown(error)}") from None
                time.sleep(0.2 * 2**attempts)
                continue
            attempts = 0 if have > before else attempts + 1
            if attempts >= _ATTEMPTS:
                raise Unreachable(f"the download of `{shown(self.name)}` makes no progress")
        if digest.hexdigest() != self.described["sha256"]:
            raise CloisterError(f"the bytes of `{shown(self.name)}` do not have the listed digest")


def _read(answer: IO[bytes], most: int) -> bytes:
    try:
        body = answer.read(most + 1)
    except (OSError, HTTPException) as error:
        raise Unreachable(f"the connection broke: {shown(error)}") from None
    if len(body) > most:
        raise CloisterError(f"the service sends more than {most} bytes")
    return body


def _json(answer: IO[bytes]) -> Any:
    body = _read(answer, _MOST_JSON)
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise CloisterError("the answer is not JSON; is a Cloister service at that address?") from None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _digest(file: IO[bytes]) -> tuple[Any, int]:
    digest, size = hashlib.sha256(), 0
    while piece := file.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return digest, size


def _opened(path: Path) -> IO[bytes]:
    """A file; for a folder, the archive of what is in it, which is the same each time."""
    if not path.is_dir():
        return path.open("rb")
    entry, files = "__main__.py", sorted(_files(path))
    main = next((name for name in ("main.py", "algorithm.py") if name in files), None)
    if entry not in files and main is None:
        raise CloisterError(f"`{path}`: what is to run? Call it `{entry}`, at the top of the folder")
    archive = cast("IO[bytes]", tempfile.TemporaryFile())
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        if entry not in files:
            run = f"runpy.run_path(os.path.join(os.path.dirname(__file__), {main!r}), run_name='__main__')"
            packed.writestr(zipfile.ZipInfo(entry), f"import os.path, runpy\n{run}\n")
        for name in files:
            packed.writestr(zipfile.ZipInfo(name), (path / name).read_bytes(), zipfile.ZIP_DEFLATED)
    archive.seek(0)
    return archive


def _files(folder: Path) -> Iterator[str]:
    """The files of a folder, without hidden ones and what Python compiles. Links are refused."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name == "__pycache__" or path.suffix == ".pyc":
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise CloisterError(f"`{path}`: a link or a special file, which cannot be sent: copy what it leads to")
        if path.is_file():
            yield path.name
        else:
            yield from (f"{path.name}/{name}" for name in _files(path))
