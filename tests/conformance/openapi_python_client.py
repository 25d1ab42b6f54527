#!/usr/bin/env python3
"""The whole way from data to a checked receipt, with the client that openapi-python-client makes of openapi.json.

    openapi_python_client.py CLIENT_FOLDER BASE_URL PUBLISHER_KEY AUTHOR_KEY CONSUMER_KEY TABLE PROGRAM

Prints one JSON object with what it saw. Exits with another code than 0 if anything is not as it must be.
"""

import hashlib
import json
import sys
from base64 import b64decode
from io import BytesIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

folder, base, publisher_key, author_key, consumer_key, table, program = sys.argv[1:]
sys.path.insert(0, folder)

from cloister_typed import AuthenticatedClient, models as m  # noqa: E402
from cloister_typed.api.about import get_receipt_key, whoami  # noqa: E402
from cloister_typed.api.assets import list_datasets, publish_algorithm, publish_dataset  # noqa: E402
from cloister_typed.api.jobs import follow_job, get_job, submit_job  # noqa: E402
from cloister_typed.api.permissions import allow_algorithm  # noqa: E402
from cloister_typed.api.results import download_result, get_log, get_receipt, list_results  # noqa: E402
from cloister_typed.api.uploads import upload_file  # noqa: E402
from cloister_typed.types import File  # noqa: E402


def client(key):
    return AuthenticatedClient(base_url=base, token=key, raise_on_unexpected_status=True, timeout=60)


publisher, author, consumer = client(publisher_key), client(author_key), client(consumer_key)

who = whoami.sync(client=consumer)
assert who.role is m.Role.CONSUMER and who.via is m.Via.KEY, who
answer = whoami.sync_detailed(client=consumer)
assert answer.headers["RateLimit"] and answer.headers["RateLimit-Policy"] and answer.headers["X-Request-Id"], answer.headers


def manifest(kind, name, path, api, **more):
    """Uploads a file and describes an asset that is this file."""
    with open(path, "rb") as file:
        uploaded = upload_file.sync(client=api, body=File(payload=BytesIO(file.read())))
    files = [m.ManifestSpecFilesType0Item.from_dict({"type": "upload", "sha256": uploaded.sha256})]
    spec = m.ManifestSpec(title=name, files=files, **more)
    metadata = m.ManifestMetadata(name=name)
    return m.Manifest(api_version="cloister.dev/v1alpha1", kind=kind, metadata=metadata, spec=spec)


contract = m.PermissionsOutputContractType0.from_dict({"maxBytes": 1_000_000, "names": ["*.json", "*.csv"]})
permissions = m.Permissions(publisher_trusted_algorithms=[], output_contract=contract)
described = manifest(m.ManifestKind.DATASET, "typed", table, publisher, compute=permissions)
dataset = publish_dataset.sync(client=publisher, body=described)
assert dataset.kind is m.AssetKind.DATASET and dataset.services[0].type_ is m.ServiceType.COMPUTE, dataset
algorithm = publish_algorithm.sync(client=author, body=manifest(m.ManifestKind.ALGORITHM, "typed", program, author))
listed = list_datasets.sync(client=consumer, owner=dataset.owner, name="typed")
assert [found.did for found in listed.items] == [dataset.did] and listed.next_ is None, listed

request = m.JobRequest(
    datasets=[dataset.did],
    algorithm=m.PublishedAlgorithm(did=algorithm.did),
    parameters=m.JobRequestParametersType0.from_dict({"groupBy": "species"}),
    profile=m.Profile.DETERMINISTIC,
)
denied = submit_job.sync_detailed(client=consumer, body=request)
assert denied.status_code == 403 and isinstance(denied.parsed, m.Problem), denied
assert denied.parsed.rules[0].rule is m.DenialRule.ALGORITHM_NOT_TRUSTED, denied.parsed

inspected = m.AllowRequest(
    algorithm=algorithm.did,
    files_checksum=algorithm.files_checksum,
    container_section_checksum=algorithm.container_section_checksum,
)
allowed = allow_algorithm.sync(dataset.did, client=publisher, body=inspected)
assert allowed.publisher_trusted_algorithms[0].did == algorithm.did, allowed

job = submit_job.sync(client=consumer, body=request, idempotency_key="typed-1")
again = submit_job.sync_detailed(client=consumer, body=request, idempotency_key="typed-1")
assert again.status_code == 200 and again.parsed.id == job.id, again
# One text: the stream ends with the job.
lines = follow_job.sync(job.id, client=consumer).splitlines()
events = [m.Job.from_dict(json.loads(line.removeprefix("data: "))) for line in lines if line.startswith("data: ")]
assert events[-1].phase is m.Phase.FINISHED, events
job = get_job.sync(job.id, client=consumer)
assert job.phase is m.Phase.FINISHED and job.reason.fault is m.Fault.NOBODY, job

files = list_results.sync(job.id, client=consumer).items
found = next(file for file in files if file.name == "statistics.json")
assert found.kind is m.ResultKind.OUTPUT, found
content = download_result.sync(job.id, found.index, client=consumer).payload.read()
assert hashlib.sha256(content).hexdigest() == found.sha256 and len(content) == found.bytes_, content[:80]
part = download_result.sync_detailed(job.id, found.index, client=consumer, range_="bytes=2-9")
assert part.status_code == 206 and part.parsed.payload.read() == content[2:10], part
assert isinstance(get_log.sync(job.id, client=consumer), str)
missing = download_result.sync_detailed(job.id, 999, client=consumer)
assert missing.status_code == 404 and missing.parsed.type_.endswith("/not-found"), missing

receipt = get_receipt.sync(job.id, client=consumer)
key = get_receipt_key.sync(client=consumer)
assert key.algorithm is m.SignatureAlgorithm.ED25519 and key.public_key == receipt.public_key
Ed25519PublicKey.from_public_bytes(b64decode(key.public_key)).verify(b64decode(receipt.signature), receipt.text.encode())
assert job.id in receipt.text

print(json.dumps({"job": job.id, "dataset": dataset.did, "sha256": found.sha256, "bytes": len(content)}))
