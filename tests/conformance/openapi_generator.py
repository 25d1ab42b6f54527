#!/usr/bin/env python3
"""The whole way from data to a checked receipt, with the client that openapi-generator's `python` makes of openapi.json.

    openapi_generator.py CLIENT_FOLDER BASE_URL PUBLISHER_KEY AUTHOR_KEY CONSUMER_KEY TABLE PROGRAM

Prints one JSON object with what it saw. Exits with another code than 0 if anything is not as it must be.
"""

import hashlib
import json
import sys
from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

folder, base, publisher_key, author_key, consumer_key, table, program = sys.argv[1:]
sys.path.insert(0, folder)

import cloister_client as c  # noqa: E402
from cloister_client.exceptions import ApiException, ForbiddenException  # noqa: E402


def client(key):
    return c.ApiClient(c.Configuration(host=base, access_token=key))


publisher, author, consumer = client(publisher_key), client(author_key), client(consumer_key)

who = c.AboutApi(consumer).whoami()
assert who.role is c.Role.CONSUMER and who.via is c.Via.KEY, who
answer = c.AboutApi(consumer).whoami_with_http_info()
names = {name.lower() for name in answer.headers}
assert {"ratelimit", "ratelimit-policy", "x-request-id"} <= names, names


def manifest(kind, name, path, api, **more):
    """Uploads a file and describes an asset that is this file."""
    with open(path, "rb") as file:
        uploaded = c.UploadsApi(api).upload_file(file.read())
    spec = c.ManifestSpec(title=name, files=[{"type": "upload", "sha256": uploaded.sha256}], **more)
    metadata = c.ManifestMetadata(name=name)
    whole = c.Manifest(api_version="cloister.dev/v1alpha1", kind=kind, metadata=metadata, spec=spec)
    return c.AssetDocument(whole)


contract = {"maxBytes": 1_000_000, "names": ["*.json", "*.csv"]}
permissions = c.Permissions(publisher_trusted_algorithms=[], output_contract=contract)
described = manifest(c.ManifestKind.DATASET, "generated", table, publisher, compute=permissions)
dataset = c.AssetsApi(publisher).publish_dataset(described)
assert dataset.kind is c.AssetKind.DATASET and dataset.services[0].type is c.ServiceType.COMPUTE, dataset
algorithm = c.AssetsApi(author).publish_algorithm(manifest(c.ManifestKind.ALGORITHM, "generated", program, author))
listed = c.AssetsApi(consumer).list_datasets(owner=dataset.owner, name="generated")
assert [found.did for found in listed.items] == [dataset.did] and listed.next is None, listed

request = c.JobRequest(
    datasets=[c.DatasetChoice(dataset.did)],
    algorithm=c.AlgorithmChoice(c.PublishedAlgorithm(did=algorithm.did)),
    parameters={"groupBy": "species"},
    profile=c.Profile.DETERMINISTIC,
)
jobs, results = c.JobsApi(consumer), c.ResultsApi(consumer)
try:
    jobs.submit_job(request)
    sys.exit("a job that no publisher allowed was taken")
except ForbiddenException as denied:
    problem = denied.data
    assert isinstance(problem, c.Problem) and problem.type.endswith("/denied"), problem
    assert problem.rules[0].rule is c.DenialRule.ALGORITHM_MINUS_NOT_MINUS_TRUSTED, problem

allowed = c.PermissionsApi(publisher).allow_algorithm(
    dataset.did,
    c.AllowRequest(
        algorithm=c.NamedAlgorithm(algorithm.did),
        files_checksum=algorithm.files_checksum,
        container_section_checksum=algorithm.container_section_checksum,
    ),
)
assert allowed.publisher_trusted_algorithms[0].did == algorithm.did, allowed

job = jobs.submit_job(request, idempotency_key="generated-1")
assert jobs.submit_job(request, idempotency_key="generated-1").id == job.id
# As it comes: a line at a time.
phases = []
stream = jobs.follow_job_without_preload_content(job.id)
for line in b"".join(stream.stream()).decode().splitlines():
    if line.startswith("data: "):
        phases.append(c.Job.from_json(line.removeprefix("data: ")).phase)
assert phases[-1] is c.Phase.FINISHED, phases
# And as one text.
assert jobs.follow_job(job.id).startswith("event: job\nid: ")
job = jobs.get_job(job.id)
assert job.phase is c.Phase.FINISHED and job.reason.fault is c.Fault.NOBODY, job

files = results.list_results(job.id).items
found = next(file for file in files if file.name == "statistics.json")
assert found.kind is c.ResultKind.OUTPUT, found
content = results.download_result(job.id, found.index)
assert hashlib.sha256(content).hexdigest() == found.sha256 and len(content) == found.bytes, content[:80]
assert results.download_result(job.id, found.index, range="bytes=2-9") == content[2:10]
assert isinstance(results.get_log(job.id), str)
try:
    results.download_result(job.id, 999)
    sys.exit("a file that does not exist was sent")
except ApiException as missing:
    assert missing.status == 404 and missing.data.type.endswith("/not-found"), missing

receipt = results.get_receipt(job.id)
key = c.AboutApi(consumer).get_receipt_key()
assert key.algorithm is c.SignatureAlgorithm.ED25519 and key.public_key == receipt.public_key
Ed25519PublicKey.from_public_bytes(b64decode(key.public_key)).verify(b64decode(receipt.signature), receipt.text.encode())
assert job.id in receipt.text

print(json.dumps({"job": job.id, "dataset": dataset.did, "sha256": found.sha256, "bytes": len(content)}))
