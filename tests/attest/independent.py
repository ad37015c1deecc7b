"""Attestations by other people's libraries.

    independent.py check ENVELOPE PUBLIC_KEY...   every key must have signed; prints the
                                                  statement, read by in-toto's own types
    independent.py sign STATEMENT PRIVATE_KEY     prints an envelope
"""

import hashlib
import json
import sys

from cryptography.hazmat.primitives import serialization
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PROVENANCE = "https://slsa.dev/provenance/v1"


def read(path):
    with open(path, "rb") as file:
        return file.read()


def public(path):
    key = serialization.load_pem_public_key(read(path))
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # The library looks for keys by their ids; this is how luni makes them.
    return SSlibKey.from_crypto(key, keyid=hashlib.sha256(der).hexdigest())


def check(path, keys):
    envelope = Envelope.from_dict(json.loads(read(path)))
    envelope.verify([public(key) for key in keys], len(keys))
    assert envelope.payload_type == PAYLOAD_TYPE, envelope.payload_type
    written = json.loads(envelope.payload)
    statement = json_format.ParseDict(written, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    if statement.predicate_type == PROVENANCE:
        # Fails on any field that SLSA does not know.
        json_format.ParseDict(written["predicate"], provenance_pb2.Provenance())
    canonical = json.dumps(
        written, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert canonical.encode() == envelope.payload, "the payload is canonical JSON"
    print(json.dumps(written))


def sign(path, key):
    private = serialization.load_pem_private_key(read(key), None)
    envelope = Envelope(read(path), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(private))
    print(json.dumps(envelope.to_dict(), indent=2))


if __name__ == "__main__":
    verb, path, *keys = sys.argv[1:]
    if verb == "check":
        check(path, keys)
    else:
        sign(path, *keys)
