#!/usr/bin/env python3
"""Makes crates/api/src/oidc/fixtures.json: tokens that another library signed, good and bad, and the public keys.

The private keys are forgotten. Needs `pip install pyjwt cryptography`.
"""

import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

FAR = 32503680000  # the year 3000
ISSUER, AUDIENCE = "https://login.example/realms/research", "cloister"

rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
small_rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ed = ed25519.Ed25519PrivateKey.generate()
stranger = ec.generate_private_key(ec.SECP256R1())

good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": FAR, "nbf": 1, "iat": 1}


def sign(alg, key, kid, claims=None, headers=None, without=()):
    claims = {name: value for name, value in {**good, **(claims or {})}.items() if name not in without}
    return jwt.encode(claims, key, algorithm=alg, headers={**({"kid": kid} if kid else {}), **(headers or {})})


def unsigned(header, claims, signature=b""):
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    signed = part(json.dumps(header).encode()) + "." + part(json.dumps(claims).encode())
    return signed + "." + part(signature(signed.encode()) if callable(signature) else signature)


def jwk(kind, key, kid, **more):
    public = json.loads(kind.to_jwk(key.public_key()))
    return {**{name: value for name, value in public.items() if name != "key_ops"}, "kid": kid, **more}


RSA, EC, OKP = jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm, jwt.algorithms.OKPAlgorithm
pem = rsa_key.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
hs = lambda secret: lambda text: hmac.new(secret, text, hashlib.sha256).digest()
token = sign("ES256", p256, "p256")

fixtures = {
    "keys": [
        jwk(RSA, rsa_key, "rsa", use="sig"),
        jwk(RSA, rsa_key, "rs256-only", alg="RS256"),
        jwk(RSA, rsa_key, "for-encryption", use="enc"),
        jwk(RSA, rsa_key, "for-signing", key_ops=["sign"]),
        jwk(RSA, small_rsa_key, "small"),
        jwk(EC, p256, "p256", key_ops=["verify"]),
        jwk(EC, p384, "p384", alg="ES384"),
        jwk(OKP, ed, "ed"),
        {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"secret").rstrip(b"=").decode()},
        {"kty": "new", "kid": "of another kind"},
        {"kty": "RSA"},
        "no key",
    ],
    "good": {
        **{alg: sign(alg, rsa_key, "rsa") for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]},
        "ES256": token,
        "ES384": sign("ES384", p384, "p384"),
        "EdDSA": sign("EdDSA", ed, "ed"),
        "several audiences": sign("ES256", p256, "p256", {"aud": ["other", AUDIENCE]}),
        "no nbf": sign("ES256", p256, "p256", without=["nbf"]),
        "access token": sign("ES256", p256, "p256", headers={"typ": "at+jwt"}),
        "key in the header is not looked at": sign(
            "ES256", p256, "p256", headers={"jwk": jwk(EC, stranger, "p256"), "jku": "https://evil.example"}
        ),
    },
    "bad": {
        "alg none": unsigned({"alg": "none", "kid": "rsa"}, good),
        "alg None": unsigned({"alg": "None", "kid": "rsa"}, good),
        "no alg": unsigned({"kid": "rsa"}, good),
        "HS256 with the public key as secret": unsigned({"alg": "HS256", "kid": "rsa"}, good, hs(pem)),
        "HS256 with a shared key of the set": unsigned({"alg": "HS256", "kid": "secret"}, good, hs(b"secret")),
        "ES256 with an RSA key": unsigned({"alg": "ES256", "kid": "rsa"}, good, bytes(64)),
        "EdDSA with an EC key": unsigned({"alg": "EdDSA", "kid": "p256"}, good, bytes(64)),
        "ES256 of zeros": unsigned({"alg": "ES256", "kid": "p256"}, good, bytes(64)),
        "no signature": unsigned({"alg": "RS256", "kid": "rsa"}, good),
        "another algorithm than the key's": sign("PS256", rsa_key, "rs256-only"),
        "a key for encryption": sign("RS256", rsa_key, "for-encryption"),
        "a key that may not verify": sign("RS256", rsa_key, "for-signing"),
        "a key that is too short": sign("RS256", small_rsa_key, "small"),
        "a stranger's key": sign("ES256", stranger, "p256"),
        "a stranger's key in the header": sign("ES256", stranger, "p256", headers={"jwk": jwk(EC, stranger, "p256")}),
        "unknown kid": sign("ES256", p256, "other"),
        "no kid": sign("ES256", p256, None),
        "kid of another kind": unsigned({"alg": "ES256", "kid": "of another kind"}, good, bytes(64)),
        "critical extension": sign("ES256", p256, "p256", headers={"crit": ["exp"]}),
        "another type": sign("ES256", p256, "p256", headers={"typ": "logout+jwt"}),
        "expired": sign("ES256", p256, "p256", {"exp": 1000}),
        "exp is a text": unsigned({"alg": "ES256", "kid": "p256"}, {**good, "exp": "x"}, bytes(64)),
        "no exp": sign("ES256", p256, "p256", without=["exp"]),
        "not yet": sign("ES256", p256, "p256", {"nbf": FAR - 1}),
        "another audience": sign("ES256", p256, "p256", {"aud": "other"}),
        "no audience": sign("ES256", p256, "p256", without=["aud"]),
        "another issuer": sign("ES256", p256, "p256", {"iss": "https://login.example/realms/other"}),
        "no issuer": sign("ES256", p256, "p256", without=["iss"]),
        "issuers": unsigned({"alg": "ES256", "kid": "p256"}, {**good, "iss": [ISSUER]}, bytes(64)),
        "no account": sign("ES256", p256, "p256", without=["sub"]),
        "empty account": sign("ES256", p256, "p256", {"sub": ""}),
        "long account": sign("ES256", p256, "p256", {"sub": "a" * 129}),
        "two parts": token.rsplit(".", 1)[0],
        "four parts": token + ".e30",
        "changed claims": ".".join(
            [token.split(".")[0], unsigned({}, {**good, "sub": "bob"}).split(".")[1], token.split(".")[2]]
        ),
        "padding": token + "=",
        "empty": "",
    },
    "claims": {
        "roles": sign("ES256", p256, "p256", {"roles": ["reader", "data-owner"], "email": "Alice B@example.org"}),
        "one role": sign("ES256", p256, "p256", {"roles": "admin"}),
        "nested": sign("ES256", p256, "p256", {"realm_access": {"roles": ["data-owner"]}}),
        "roles of another type": sign("ES256", p256, "p256", {"roles": {"admin": True}}),
        "a percent sign": sign("ES256", p256, "p256", {"sub": "a%20b|c"}),
    },
}

json.dump(fixtures, sys.stdout, indent=1)
print()
