"""`lmforge serve` as a service with TLS: where it is, what it says of its models, and what a kill leaves of it."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ruamel.yaml import YAML

from components.core import params
from flows.cli import status
from flows.processes import child
from flows.services import answering, network, service
from tests.flows.support.running import REPOSITORY, wait_until

pytestmark = pytest.mark.services


def make_certificate(certificate: Path, key: Path) -> None:
    """A certificate of 127.0.0.1 for an hour, signed by itself."""
    own = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([]), datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, own.public_key(), 1, now, now + timedelta(hours=1))
    signed = made.add_extension(address, critical=True).sign(own, hashes.SHA256())
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_status_says_what_a_server_answers_with_and_what_does_not_take_over(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = registry / "certificate.pem", registry / "key.pem"
    make_certificate(certificate, key)
    section = params.load(REPOSITORY / "params.yaml")["serve"]
    section |= {"tls_certificate": str(certificate), "tls_key": str(key)}
    with (registry / "params.yaml").open("w") as file:
        YAML().dump({"finetune": {"assistant": {}}, "serve": section}, file)
    (registry / "dvc.yaml").touch()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    port = network.free_port(section["port"])
    server = service.serve(port, network.HOST, tls=True)
    process = server.start()
    try:
        assert wait_until(lambda: server.is_ready, bool), server.log.read_text()
        wait_until(lambda: [*map(str, status.served())], lambda lines: "cannot be loaded" in "".join(lines))
        trusting = ssl.create_default_context(cafile=certificate)
        assert httpx.get(f"https://127.0.0.1:{port}/health", verify=trusting).json() == {"status": "ok"}
        [line] = status.served()
        where = f"BAD serve        https://127.0.0.1:{port}"
        assert str(line).startswith(f"{where} waits for a champion of assistant; version 2 cannot be loaded: ")
    finally:
        child.stop(process, 20)
    assert answering.addresses() == []
    assert [*status.served()] == []
