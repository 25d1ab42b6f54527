#!/usr/bin/env python3
"""An S3 store in memory, for tests: one bucket of any name, path-style addresses, keys that must sign.

    s3.py PORT ACCESS_KEY_ID

Knows what object_store asks for: PUT (also with If-None-Match: *), uploads in parts, GET with ranges, HEAD, DELETE, DELETE of many,
and lists. A request that is not signed with that key id is refused; whether its signature is right is not computed.
"""

import hashlib
import http.server
import re
import socketserver
import sys
import threading
import urllib.parse
import uuid
from xml.sax.saxutils import escape, unescape

OBJECTS, PARTS, LOCK = {}, {}, threading.Lock()


def etag(content):
    return '"' + hashlib.md5(content).hexdigest() + '"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode(), Content_Type="application/xml")

    def xml(self, text):
        self.answer(200, text.encode(), Content_Type="application/xml")

    def handle_request(self):
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if f"Credential={sys.argv[2]}/" not in self.headers.get("Authorization", ""):
            return self.refuse(403, "AccessDenied")
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        key = urllib.parse.unquote(path.lstrip("/")).partition("/")[2]
        with LOCK:
            return getattr(self, self.command.lower())(key, query, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def head(self, key, _query, _content):
        if key not in OBJECTS:
            return self.refuse(404, "NoSuchKey")
        content = OBJECTS[key]
        return self.answer(200, content, ETag=etag(content), Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")

    def get(self, key, query, content):
        if "list-type" in query:
            return self.listed(query)
        if key not in OBJECTS:
            return self.refuse(404, "NoSuchKey")
        whole = OBJECTS[key]
        headers = {"ETag": etag(whole), "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(200, whole, **headers)
        first, last = int(wanted[1]), min(int(wanted[2] or len(whole)), len(whole) - 1)
        if first >= len(whole):
            return self.refuse(416, "InvalidRange")
        part = whole[first : last + 1]
        return self.answer(206, part, Content_Range=f"bytes {first}-{last}/{len(whole)}", **headers)

    def put(self, key, query, content):
        if "uploadId" in query:
            if query["uploadId"] not in PARTS:
                return self.refuse(404, "NoSuchUpload")
            PARTS[query["uploadId"]][int(query["partNumber"])] = content
        elif self.headers.get("If-None-Match") == "*" and key in OBJECTS:
            return self.refuse(412, "PreconditionFailed")
        else:
            OBJECTS[key] = content
        return self.answer(200, ETag=etag(content))

    def post(self, key, query, content):
        if "delete" in query:
            gone = re.findall("<Key>(.*?)</Key>", content.decode())
            for one in gone:
                OBJECTS.pop(unescape(one), None)
            return self.xml(f"<DeleteResult>{''.join(f'<Deleted><Key>{one}</Key></Deleted>' for one in gone)}</DeleteResult>")
        if "uploads" in query:
            upload = uuid.uuid4().hex
            PARTS[upload] = {}
            return self.xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
        parts = PARTS.pop(query.get("uploadId"), None)
        if parts is None:
            return self.refuse(404, "NoSuchUpload")
        OBJECTS[key] = b"".join(part for _, part in sorted(parts.items()))
        tag = escape(etag(OBJECTS[key]))
        return self.xml(f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>")

    def delete(self, key, query, content):
        PARTS.pop(query.get("uploadId"), None)
        if "uploadId" not in query:
            OBJECTS.pop(key, None)
        return self.answer(204)

    def listed(self, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = max(query.get("start-after", ""), query.get("continuation-token", ""))
        found, folders = [], set()
        for key in sorted(OBJECTS):
            rest = key[len(prefix) :]
            if not key.startswith(prefix) or key <= after:
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.split(delimiter)[0] + delimiter)
            else:
                found.append(key)
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(etag(OBJECTS[key]))}</ETag><Size>{len(OBJECTS[key])}</Size></Contents>"
            for key in found
        )
        prefixes = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        counted = f"<KeyCount>{len(found) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
        return self.xml(f"<ListBucketResult><Prefix>{escape(prefix)}</Prefix>{counted}{contents}{prefixes}</ListBucketResult>")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


if __name__ == "__main__":
    Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
