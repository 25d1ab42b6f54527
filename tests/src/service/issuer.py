"""A small OpenID Connect issuer with the device authorization grant (RFC 8628), on a port of its own. Takes commands as JSON
lines on stdin and answers each with one line; ends with its standard input.

{"access": {...}, "id": {...}}   claims of the tokens from now on; null: no such token
{"lifetime": 300}                of tokens, in seconds
{"next": ["slow_down", 503]}     what the next questions for tokens are answered: an error of OAuth, or a status
{"approve": CODE, "as": "carol"} what a person does in a browser
{"refuse": CODE}
{"revoke": true}                 no refresh token is good any more
{"discovery": {...}}             fields of the discovery document that are different
{"seen": true}                   what was asked, and how often a refresh token was used twice
"""

import base64
import http.server
import json
import secrets
import sys
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CLIENT = "cloister-cli"
KEY = Ed25519PrivateKey.generate()
lock = threading.Lock()
codes, refreshes = {}, {}
state = {"access": {"aud": "cloister"}, "id": None, "lifetime": 300, "next": [], "discovery": {}}
seen = {"asked": [], "reused": 0, "authorizations": 0, "early": 0, "clients": [], "scopes": []}


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims):
    now = int(time.time())
    claims = {"iss": url, "iat": now, "exp": now + state["lifetime"], **claims}
    signed = ".".join(part(json.dumps(text).encode()) for text in ({"alg": "EdDSA", "kid": "one"}, claims))
    return f"{signed}.{part(KEY.sign(signed.encode()))}"


def tokens(who):
    answer = {"token_type": "Bearer", "expires_in": state["lifetime"]}
    for name in ("access", "id"):
        if state[name] is not None:
            answer[f"{name}_token"] = token({"sub": who, **state[name]})
    answer["refresh_token"] = secrets.token_urlsafe(16)
    refreshes[answer["refresh_token"]] = who
    return 200, answer


def device(form):
    seen["scopes"].append(form["scope"])
    code = f"{secrets.token_hex(2)}-{secrets.token_hex(2)}".upper()
    asked = {"device": secrets.token_urlsafe(16), "who": None, "refused": False, "next": time.monotonic() + 1, "slower": 0}
    codes[code] = asked
    page = f"{url}/device"
    return 200, {
        "device_code": asked["device"], "user_code": code, "verification_uri": page,
        "verification_uri_complete": f"{page}?code={code}", "expires_in": 600, "interval": 1,
    }


def question(form):
    grant = form.get("grant_type")
    seen["asked"].append(grant)
    if state["next"]:
        scripted = state["next"].pop(0)
        if isinstance(scripted, int):
            return scripted, {}
        if scripted == "slow_down":
            for asked in codes.values():
                asked["slower"] += 5
                asked["next"] = time.monotonic() + 1 + asked["slower"]
        return 400, {"error": scripted}
    if grant == "refresh_token":
        # Good once, as OAuth 2.1 wants it for public clients.
        who = refreshes.pop(form.get("refresh_token"), None)
        if who is None:
            seen["reused"] += 1
            return 400, {"error": "invalid_grant"}
        return tokens(who)
    if grant != "urn:ietf:params:oauth:grant-type:device_code":
        return 400, {"error": "unsupported_grant_type"}
    asked = next((asked for asked in codes.values() if asked["device"] == form.get("device_code")), None)
    if asked is None:
        return 400, {"error": "expired_token"}
    if time.monotonic() < asked["next"]:
        seen["early"] += 1
    asked["next"] = time.monotonic() + 1 + asked["slower"]
    if asked["refused"]:
        return 400, {"error": "access_denied"}
    if asked["who"] is None:
        return 400, {"error": "authorization_pending"}
    return tokens(asked["who"])


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            if self.path == "/.well-known/openid-configuration":
                document = {
                    "issuer": url, "jwks_uri": f"{url}/keys", "token_endpoint": f"{url}/token",
                    "device_authorization_endpoint": f"{url}/codes", "scopes_supported": ["openid", "offline_access"],
                    **state["discovery"],
                }
                return self.answer(200, document)
            if self.path == "/keys":
                key = {"kty": "OKP", "crv": "Ed25519", "kid": "one", "alg": "EdDSA", "use": "sig"}
                return self.answer(200, {"keys": [{**key, "x": part(KEY.public_key().public_bytes_raw())}]})
        return self.answer(404, {})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(text, strict_parsing=True))
        with lock:
            seen["authorizations"] += "Authorization" in self.headers
            seen["clients"].append(form.get("client_id"))
            if form.get("client_id") != CLIENT:
                return self.answer(401, {"error": "invalid_client"})
            return self.answer(*{"/codes": device, "/token": question}[self.path](form))

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
url = f"http://127.0.0.1:{server.server_address[1]}"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"issuer": url}), flush=True)
for line in sys.stdin:
    command, said = json.loads(line), {}
    with lock:
        if "approve" in command:
            codes[command["approve"]]["who"] = command["as"]
        elif "refuse" in command:
            codes[command["refuse"]]["refused"] = True
        elif "revoke" in command:
            refreshes.clear()
        elif "seen" in command:
            said = seen
        else:
            state.update(command)
        print(json.dumps(said), flush=True)
