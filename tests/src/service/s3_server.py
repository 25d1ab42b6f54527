"""An S3 server on a port of its own, with one user whose signatures are checked. Takes commands as JSON lines on stdin and
answers each with one line; ends with its standard input."""

import base64
import json
import logging
import os
import sys

os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_DEFAULT_REGION="us-east-1")
logging.getLogger("werkzeug").setLevel(logging.ERROR)

import boto3
import requests
from botocore.config import Config
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://127.0.0.1:{port}"


def client(service, key="root", secret="root"):
    config = Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1})
    return boto3.client(
        service, endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1", config=config
    )


bucket = "cloister-tests"
client("s3").create_bucket(Bucket=bucket)
iam = client("iam")
iam.create_user(UserName="cloister")
allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="cloister", PolicyName="s3", PolicyDocument=json.dumps(allowed))
key = iam.create_access_key(UserName="cloister")["AccessKey"]
# From now on every request must be signed with a known key.
requests.post(f"{url}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
s3 = client("s3", key["AccessKeyId"], key["SecretAccessKey"])


def answer(value):
    print(json.dumps(value), flush=True)


answer({"endpoint": url, "bucket": bucket, "accessKeyId": key["AccessKeyId"], "secretAccessKey": key["SecretAccessKey"]})
for line in sys.stdin:
    command = json.loads(line)
    if "put" in command:
        encoding = {"ContentEncoding": command["encoding"]} if "encoding" in command else {}
        s3.put_object(Bucket=bucket, Key=command["put"], Body=base64.b64decode(command["body"]), **encoding)
        answer({})
    elif "list" in command:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=command["list"]).get("Contents", [])
        answer({"keys": [one["Key"] for one in listed]})
    elif "get" in command:
        body = s3.get_object(Bucket=bucket, Key=command["get"])["Body"].read()
        answer({"body": base64.b64encode(body).decode()})
