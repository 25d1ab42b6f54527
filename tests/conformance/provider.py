#!/usr/bin/env python3
"""A Provider in miniature: asks the operator API exactly as Ocean's Provider 2.1.6 does, and as a dishonest client would.

    provider.py BASE_URL PRIVATE_KEY DATASET_DID ALGORITHM_DID [options]

PRIVATE_KEY is that of an allowed Provider; the dataset must allow the algorithm. Prints one JSON object per check,
{"check", "ok", "expected", "got"}, and exits with 1 if any failed. Needs `pip install eth-account requests`.

With --unverified it does what Ocean's own suite does instead (test_functional.py), which no rule of signatures verifies: for
a service with `unverified_signatures` on. With --expect it asks for one job as an honest Provider, and with --replica it asks two
replicas of the service.
"""

import argparse
import concurrent.futures
import hashlib
import json
import secrets
import sys
import time

import requests
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import keccak

OPERATOR = "/api/v1/operator"


def sign(key, text):
    """Ocean's signature: personal_sign over the 32-byte hash of the text, the last byte 0 or 1."""
    signed = Account.sign_message(encode_defunct(primitive=keccak(text=text)), key).signature
    return "0x" + (signed[:64] + bytes([signed[64] - 27])).hex()


def sign_for_compute(key, owner, job=None, nonce=None):
    """provider: ocean_provider/utils/compute.py, sign_for_compute."""
    nonce = time.time_ns() if nonce is None else nonce
    return nonce, sign(key, f"{owner}{job}{nonce}" if job else f"{owner}{nonce}")


class Provider:
    """Sends what Provider sends: a JSON body with POST, a query with everything else."""

    def __init__(self, base, key, environment=None, chain=8996):
        self.base, self.key, self.environment, self.chain = base.rstrip("/"), key, environment, chain
        self.address = Account.from_key(key).address
        self.session = requests.Session()

    def url(self, path):
        return f"{self.base}{OPERATOR}/{path}"

    def environments(self):
        return self.session.get(self.url("environments"), params={"chainId": self.chain}, timeout=60)

    def workflow(self, datasets, algorithm, custom=None):
        """`datasets` and `algorithm` as (DID, service)."""
        inputs = [
            {"index": i, "id": did, "remote": {"txId": "0x7a1c", "serviceId": service, "userdata": None}}
            for i, (did, service) in enumerate(datasets)
        ]
        container = {"image": "wasm", "tag": "latest", "entrypoint": "$ALGO", "checksum": "sha256:" + "0" * 64}
        remote = {"serviceEndpoint": self.base, "txId": "0x7a1d", "serviceId": algorithm[1], "userData": None}
        program = {
            "id": algorithm[0], "rawcode": "", "algouserdata": None, "container": container, "remote": remote,
            "algocustomdata": custom or {},
        }
        compute = {"Instances": 1, "namespace": "ocean-compute", "maxtime": 3600}
        output = {"metadataUri": "https://aquarius.example"}
        stage = {"index": 0, "input": inputs, "compute": compute, "algorithm": program, "output": output}
        return {"stages": [stage]}

    def start_body(self, owner, agreement, workflow, nonce=None):
        nonce, signature = sign_for_compute(self.key, owner, None, nonce)
        return {
            "workflow": workflow, "agreementId": agreement, "owner": owner, "providerAddress": self.address,
            "providerSignature": signature, "environment": self.environment, "validUntil": int(time.time()) + 3600,
            "nonce": nonce, "chainId": self.chain,
        }

    def post(self, body):
        headers = {"content-type": "application/json"}
        return self.session.post(self.url("compute"), data=json.dumps(body), headers=headers, timeout=60)

    def start(self, owner, agreement, workflow):
        return self.post(self.start_body(owner, agreement, workflow))

    def query(self, owner, job=None, document=None, nonce=None, **more):
        nonce, signature = sign_for_compute(self.key, owner, job, nonce)
        query = {"providerAddress": self.address, "owner": owner, "jobId": job, "documentId": document}
        query = {name: value for name, value in query.items() if value is not None}
        return {**query, "providerSignature": signature, "nonce": nonce, "chainId": self.chain, **more}

    def ask(self, method, query, path="compute", headers=None):
        headers = {"content-type": "application/json", **(headers or {})}
        return self.session.request(method, self.url(path), params=query, headers=headers, timeout=60)

    def status(self, owner, job=None, document=None):
        return self.ask("GET", self.query(owner, job, document))

    def stop(self, owner, job=None):
        return self.ask("PUT", self.query(owner, job))

    def delete(self, owner, job):
        return self.ask("DELETE", self.query(owner, job))

    def result(self, owner, job, index, headers=None):
        query = self.query(owner, job, index=index, consumerSignature="0x00")
        return self.ask("GET", query, "getResult", headers)


class Checks:
    def __init__(self):
        self.failed = False

    def check(self, name, expected, got):
        ok = expected(got) if callable(expected) else expected == got
        self.failed |= not ok
        shown = (expected.__doc__ or "a condition") if callable(expected) else expected
        print(json.dumps({"check": name, "ok": ok, "expected": shown, "got": got}, default=str), flush=True)
        return ok

    def refused(self, name, response, status, text=None):
        self.check(name, status, response.status_code)
        error = body(response)
        error = error.get("error") if isinstance(error, dict) else error
        if text is not None:
            self.check(f"{name}: text", text, error)
        else:
            self.check(f"{name}: form", True, isinstance(error, str) and error != "")


def body(response):
    try:
        return response.json()
    except ValueError:
        return response.text[:200]


def first(response):
    jobs = body(response)
    return jobs[0] if isinstance(jobs, list) and jobs else {}


def wait(provider, owner, job, seconds):
    end = time.time() + seconds
    while True:
        status = first(provider.status(owner, job))
        if status.get("dateFinished") or time.time() > end or not status:
            return status
        time.sleep(0.2)


def strict(arguments):
    checks, check = Checks(), None
    check = checks.check
    provider = Provider(arguments.base, arguments.key, arguments.environment)
    owner, other = arguments.owner, Account.create().address
    dataset = (arguments.dataset, arguments.service)
    algorithm = (arguments.algorithm, arguments.algorithm_service)

    discovery = body(provider.session.get(provider.base + "/", timeout=60))
    check("discovery names the software", "Operator service", discovery.get("software"))
    environments = body(provider.environments())
    check("there is an environment", True, isinstance(environments, list) and len(environments) > 0)
    fields = {"id", "cpuNumber", "ramGB", "diskGB", "priceMin", "desc", "currentJobs", "maxJobs", "consumerAddress",
              "storageExpiry", "maxJobDuration", "lastSeen"}
    check("environments have Ocean's fields", [], sorted(fields - set(environments[0])))
    provider.environment = provider.environment or environments[0]["id"]

    workflow = provider.workflow([dataset], algorithm, arguments.parameters)
    agreement = "0x" + secrets.token_hex(32)

    # Who may not start.
    stranger = Provider(arguments.base, "0x" + secrets.token_hex(32), provider.environment)
    checks.refused("start by another signer", stranger.start(owner, agreement, workflow), 401)
    cheat = provider.start_body(owner, agreement, workflow)
    checks.refused("start for another owner than signed", provider.post({**cheat, "owner": other}), 401)
    checks.refused("start with another nonce than signed", provider.post({**cheat, "nonce": cheat["nonce"] + 1}), 401)
    bare = {**provider.start_body(owner, agreement, workflow), "providerSignature": sign(arguments.key, owner)}
    checks.refused("start with the nonce not signed", provider.post(bare), 401)
    in_full = Account.sign_message(encode_defunct(text=f"{owner}{bare['nonce']}"), arguments.key).signature.hex()
    checks.refused("start signed in another form", provider.post({**bare, "providerSignature": in_full}), 401)
    checks.refused("start with no signature at all", provider.post({**bare, "providerSignature": "sig"}), 400)
    old = provider.start_body(owner, agreement, workflow, time.time_ns() - 3600 * 10**9)
    checks.refused("start with an old nonce", provider.post(old), 401)
    early = provider.start_body(owner, agreement, workflow, time.time_ns() + 3600 * 10**9)
    checks.refused("start with a nonce of the future", provider.post(early), 401)

    # What is not right is told as Ocean tells it.
    for name in ["workflow", "agreementId", "owner", "providerSignature", "environment", "nonce"]:
        incomplete = provider.start_body(owner, agreement, workflow)
        del incomplete[name]
        text = f'"{name}" is required in the call to POST:/compute'
        checks.refused(f"start without {name}", provider.post(incomplete), 400, text)
    stage = workflow["stages"][0]
    for name, wrong, text in [
        ("no workflow", {}, "`workflow` is required in the payload and must include workflow stages"),
        ("no stages", {"stages": []}, "Missing stages"),
        ("two stages", {"stages": [stage, stage]}, "Multiple stages are not supported yet"),
        ("no algorithm", {"stages": [{**stage, "algorithm": None}]}, "Missing algorithm in stage 0"),
        ("no input", {"stages": [{**stage, "input": None}]}, "Missing input in stage 0"),
    ]:
        checks.refused(f"start with {name}", provider.start(owner, agreement, wrong), 400, text)
    nowhere = {**provider.start_body(owner, agreement, workflow), "environment": "no-such-environment"}
    checks.refused("start nowhere", provider.post(nowhere), 400, "Environment invalid or does not exist")
    unknown = provider.workflow([("did:op:" + "0" * 64, arguments.service)], algorithm)
    checks.refused("start on an unknown dataset", provider.start(owner, agreement, unknown), 400)
    check("nothing was started by all that", [], body(provider.ask("GET", provider.query(owner, agreementId=agreement))))

    # A job.
    earlier = time.time_ns()
    accepted = provider.start_body(owner, agreement, workflow)
    started = provider.post(accepted)
    check("start", 200, started.status_code)
    check("start answers with one job", 1, len(body(started)) if isinstance(body(started), list) else body(started))
    job = first(started).get("jobId", "")
    check("a job's name has 32 hexadecimal digits", True, len(job) == 32 and not job.strip("0123456789abcdef"))
    shown = {name: first(started).get(name) for name in ["agreementId", "owner", "algoDID", "inputDID", "removed", "stopreq"]}
    expected = {"agreementId": agreement, "owner": owner, "algoDID": arguments.algorithm,
                "inputDID": [arguments.dataset], "removed": 0, "stopreq": 0}
    check("the job is the one asked for", expected, shown)
    created = first(started).get("dateCreated")
    check("dates are seconds as text", True, isinstance(created, str) and abs(float(created) - time.time()) < 60)
    checks.refused("start replayed", provider.post(accepted), 401)
    replayed = {name: accepted[name] for name in ["owner", "providerSignature", "nonce"]}
    checks.refused("the same signature for the status", provider.ask("GET", replayed), 401)
    check("a lower nonce that was not used", 200, provider.ask("GET", provider.query(owner, nonce=earlier)).status_code)
    checks.refused("the lower nonce replayed", provider.ask("GET", provider.query(owner, nonce=earlier)), 401)

    # Who may see it.
    for name, method, path in [("status", "GET", "compute"), ("stop", "PUT", "compute"), ("delete", "DELETE", "compute"),
                               ("result", "GET", "getResult")]:
        known = stranger.ask(method, stranger.query(owner, job, index=0), path)
        checks.refused(f"{name} by another signer", known, 401)
        unknown = stranger.ask(method, stranger.query(owner, "0" * 32, index=0), path)
        check(f"{name} by another signer tells nothing", body(unknown), body(known))
    jobs = [one.get("jobId") for one in body(provider.status(owner))]
    check("the owner has the job", True, job in jobs)
    jobs = [one.get("jobId") for one in body(provider.status(owner, None, arguments.dataset))]
    check("the owner has the job on this dataset", True, job in jobs)
    check("and none on another", [], body(provider.status(owner, job, "did:op:" + "0" * 64)))
    check("another owner has none", [], body(provider.status(other)))
    check("another owner has not this one", [], body(provider.status(other, job)))
    check("another owner stops nothing", [], body(provider.stop(other, job)))
    check("another owner deletes nothing", [], body(provider.delete(other, job)))
    as_body = provider.session.get(provider.url("compute"), json=provider.query(owner, job), timeout=60)
    check("status with a JSON body", job, first(as_body).get("jobId"))
    nothing = provider.ask("GET", {"chainId": 1})
    text = "You have to specify one of agreementId, jobId or owner"
    checks.refused("status of nothing", nothing, 400, text)
    running = provider.session.get(provider.url("runningjobs"), timeout=60)
    check("running jobs are not for strangers", True, running.status_code in (400, 401) and job not in running.text)

    # Its end.
    ended = wait(provider, owner, job, arguments.timeout)
    check("the job ends well", (70, "Job finished"), (ended.get("status"), ended.get("statusText")))
    results = ended.get("results") or []
    check("it has results", True, isinstance(results, list) and len(results) > 0)
    check("results have Ocean's fields", True, all(set(one) == {"filename", "filesize", "type"} for one in results))
    for index, one in enumerate(results):
        whole = provider.result(owner, job, index)
        check(f"result {index}", (200, one["filesize"]), (whole.status_code, len(whole.content)))
        check(f"result {index}: size ahead", str(one["filesize"]), whole.headers.get("Content-Length"))
        disposition = whole.headers.get("Content-Disposition", "")
        check(f"result {index}: name", True, disposition.startswith("attachment;filename="))
        tag = whole.headers.get("ETag", "").strip('"')
        check(f"result {index}: tag is its digest", hashlib.sha256(whole.content).hexdigest(), tag)
        if one["filesize"] > 1:
            part = provider.result(owner, job, index, {"Range": "bytes=1-"})
            got = (part.status_code, part.content == whole.content[1:], part.headers.get("Content-Range"))
            check(f"result {index}: the rest", (206, True, f"bytes 1-{one['filesize'] - 1}/{one['filesize']}"), got)
    text = f"No such index {len(results)} in this compute job"
    checks.refused("a result too many", provider.result(owner, job, len(results)), 404, text)
    checks.refused("a negative result", provider.result(owner, job, -1), 404, "Negative index -1")
    checks.refused("a result index that is not a number", provider.result(owner, job, "x"), 400)
    text = f"Owner {other} mismatch for job {job}"
    checks.refused("another owner's result", provider.result(other, job, 0), 404, text)
    text = f"Owner {owner} mismatch for job {'0' * 32}"
    checks.refused("an unknown job's result", provider.result(owner, "0" * 32, 0), 404, text)

    # Stopping, and deleting.
    second = "0x" + secrets.token_hex(32)
    job2 = first(provider.start(owner, second, workflow)).get("jobId", "")
    again = provider.start(owner, second, workflow)
    if again.status_code != 200:
        text = "`agreementId` already in use for other job."
        checks.refused("a second job for the same agreement", again, 400, text)
    else:
        check("the job of this agreement had ended", True, bool(wait(provider, owner, job2, arguments.timeout).get("dateFinished")))
    stopped = first(provider.stop(owner, job2))
    check("stop is known at once", True, stopped.get("stopreq") == 1 or bool(stopped.get("dateFinished")))
    ended = wait(provider, owner, job2, arguments.timeout)
    check("a stopped job ends", True, ended.get("status") in (7, 70) and bool(ended.get("dateFinished")))
    everything = provider.ask("DELETE", provider.query(owner))
    checks.refused("delete without a job", everything, 400)
    for one in filter(None, {job, job2, first(again).get("jobId")}):
        wait(provider, owner, one, arguments.timeout)
        deleted = provider.delete(owner, one)
        check("delete", (200, []), (deleted.status_code, body(deleted)))
        check("what is deleted is gone", [], body(provider.status(owner, one)))
    checks.refused("its results, too", provider.result(owner, job, 0), 404)
    return checks.failed


def honest(arguments):
    """One job, from its start to a result."""
    checks = Checks()
    check = checks.check
    provider = Provider(arguments.base, arguments.key, arguments.environment)
    provider.environment = provider.environment or body(provider.environments())[0]["id"]
    dataset, algorithm = (arguments.dataset, arguments.service), (arguments.algorithm, arguments.algorithm_service)
    workflow = provider.workflow([dataset], algorithm, arguments.parameters)
    started = provider.start(arguments.owner, "0x" + secrets.token_hex(32), workflow)
    job = first(started).get("jobId", "")
    check("start", 200, started.status_code if job else body(started))
    check("the job's name", lambda name: len(name) == 32, job)
    ended = wait(provider, arguments.owner, job, arguments.timeout)
    check("the job ends well", (70, "Job finished"), (ended.get("status"), ended.get("statusText")))
    name, text = arguments.expect
    places = [place for place, one in enumerate(ended.get("results") or []) if one["filename"] == name]
    check(f"it has one {name}", 1, len(places))
    for place in places:
        content = provider.result(arguments.owner, job, place).text
        check(f"how {name} begins", text, content[: len(text)])
    return checks.failed


def replicas(arguments):
    """Signed requests that two replicas get: each counts at one of them. Both have the same jobs."""
    checks = Checks()
    both = [Provider(base, arguments.key) for base in (arguments.base, arguments.replica)]

    def ask(replica, query):
        return replica.ask("GET", query).status_code

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number in range(4):
            query = both[0].query(arguments.owner)
            codes = sorted(pool.map(ask, both, [query, query]))
            checks.check(f"request {number} at both at once", [200, 401], codes)
            checks.check(f"request {number} once more", [401, 401], [ask(replica, query) for replica in both])
    one, other = (sorted(body(replica.status(arguments.owner)), key=lambda job: job["jobId"]) for replica in both)
    checks.check("there are jobs", True, len(one) > 0)
    checks.check("both have the same jobs", one, other)
    return checks.failed


def unverified(arguments):
    """operator-service: test/test_functional.py."""
    checks = Checks()
    check, session = checks.check, requests.Session()
    provider = Provider(arguments.base, arguments.key, arguments.environment)
    environments = body(provider.environments())
    provider.environment = provider.environment or environments[0]["id"]

    def decorate(payload, did=""):
        nonce = str(time.time())
        return {**payload, "nonce": nonce, "providerSignature": sign(arguments.key, f"{provider.address}{did}{nonce}")}

    workflow = provider.workflow([(arguments.dataset, arguments.service)], (arguments.algorithm, arguments.algorithm_service))
    stage = workflow["stages"][0]
    stage["input"] = [{"id": arguments.dataset, "index": 0, "url": ["https://data.example/x.csv"]}]
    stage["algorithm"] = {"id": arguments.algorithm, "rawcode": "console.log('this is a test')",
                          "url": "https://code.example/algo.js",
                          "container": {"entrypoint": "node $ALGO", "image": "node", "tag": "10"}}
    start = {"workflow": workflow, "agreementId": None, "owner": arguments.owner, "environment": provider.environment}
    started = session.post(provider.url("compute"), json=decorate(start, arguments.dataset), timeout=60)
    check("start", 200, started.status_code)
    check("start is marked", "true", started.headers.get("X-Cloister-Unverified"))
    job = first(started)
    expected = {"agreementId": "None", "owner": arguments.owner, "statusText": "Warming up", "algoDID": arguments.algorithm,
                "inputDID": [arguments.dataset]}
    check("the job is the one asked for", expected, {name: job.get(name) for name in expected})
    named = {"agreementId": job.get("agreementId"), "owner": job.get("owner"), "jobId": job.get("jobId")}
    status = session.get(provider.url("compute"), json=decorate(named, job.get("jobId")), timeout=60)
    check("status", (200, 1), (status.status_code, len(body(status))))
    running = session.get(provider.url("runningjobs"), timeout=60)
    check("running jobs", 200, running.status_code)
    del named["agreementId"]
    stopped = session.put(provider.url("compute"), json=decorate(named, job.get("jobId")), timeout=60)
    check("stop", (200, 1), (stopped.status_code, len(body(stopped))))
    deleted = session.delete(provider.url("compute"), json=decorate(named, job.get("jobId")), timeout=60)
    check("delete", 200, deleted.status_code)
    return checks.failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="such as http://127.0.0.1:8050")
    parser.add_argument("key", help="the Provider's private key, 0x...")
    parser.add_argument("dataset", help="did:op:...")
    parser.add_argument("algorithm", help="did:op:...")
    parser.add_argument("--environment", help="the first one there is, unless given")
    parser.add_argument("--service", default="compute", help="id of the dataset's service")
    parser.add_argument("--algorithm-service", default="compute", help="id of the algorithm's service")
    parser.add_argument("--owner", default="0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1", help="the consumer")
    parser.add_argument("--parameters", type=json.loads, default={}, help="algocustomdata, as JSON")
    parser.add_argument("--timeout", type=float, default=120, help="seconds that a job may take")
    parser.add_argument("--unverified", action="store_true", help="do what Ocean's own suite does")
    parser.add_argument("--expect", nargs=2, metavar=("NAME", "TEXT"), help="ask for one job: its result NAME begins with TEXT")
    parser.add_argument("--replica", metavar="BASE_URL", help="another replica of the service, which has the same jobs")
    arguments = parser.parse_args()
    does = unverified if arguments.unverified else honest if arguments.expect else replicas if arguments.replica else strict
    sys.exit(does(arguments))


if __name__ == "__main__":
    main()
