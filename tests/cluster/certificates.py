"""Keys, certificates and kubeconfig files of the test cluster: new at each start, signed by an authority of its own."""

from __future__ import annotations

import ipaddress
import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster.layout import API, API_ADDRESS, FIRST_SERVICE, NODES
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

API_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_LIFETIME = timedelta(days=365)
_USES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True)
class Subject:
    """Whom a certificate names.

    Attributes:
        user: as Kubernetes calls him.
        group: his group, if any.
        names: host names and addresses at which it may serve.
    """

    user: str
    group: str = ""
    names: tuple[str, ...] = ()


_CLIENTS = {
    "admin": Subject("launch-admin", "system:masters"),
    "controllers": Subject("system:kube-controller-manager"),
    "scheduler": Subject("system:kube-scheduler"),
    "proxy": Subject("system:kube-proxy"),
}
_SERVERS = {
    "api": Subject("kube-apiserver", names=(*API_NAMES, API_ADDRESS, FIRST_SERVICE, "127.0.0.1", "localhost")),
    "api-to-kubelet": Subject("kube-apiserver-kubelet-client", "system:masters"),
}


@dataclass(frozen=True)
class _Authority:
    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def sign(self, name: str, subject: Subject) -> None:
        """Write `NAME.key` and `NAME.crt`."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject, key.public_key(), self.certificate.subject).add_extension(_USES, critical=False)
        if subject.names:
            alternatives = x509.SubjectAlternativeName([_alternative(item) for item in subject.names])
            builder = builder.add_extension(alternatives, critical=False)
        _write(self.folder, name, key, builder.sign(self.key, hashes.SHA256()))


def make_certificates(folder: Path) -> None:
    """Fill a new folder: the authority, every part's key, and the key that signs service accounts' tokens."""
    folder.mkdir(mode=0o700)
    authority = _make_authority(folder)
    nodes = {
        node.name: Subject(f"system:node:{node.name}", "system:nodes", (node.name, node.address)) for node in NODES
    }
    for name, subject in (_CLIENTS | _SERVERS | nodes).items():
        authority.sign(name, subject)
    for name in (*_CLIENTS, *nodes):
        (folder / f"{name}.kubeconfig").write_text(_kubeconfig(folder, name))
    accounts = ec.generate_private_key(ec.SECP256R1())
    (folder / "accounts.key").write_bytes(_pem(accounts))
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "accounts.pub").write_bytes(accounts.public_key().public_bytes(serialization.Encoding.PEM, kind))


def _make_authority(folder: Path) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = Subject("launch-cluster")
    builder = _builder(subject, key.public_key(), _name(subject))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    _write(folder, "authority", key, certificate)
    return _Authority(folder, key, certificate)


def _builder(subject: Subject, key: ec.EllipticCurvePublicKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _name(subject: Subject) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject.user)]
    if subject.group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.group))
    return x509.Name(attributes)


def _alternative(item: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(item))
    except ValueError:
        return x509.DNSName(item)


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    (folder / f"{name}.key").write_bytes(_pem(key))
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())


def _kubeconfig(folder: Path, name: str) -> str:
    """A kubeconfig file, which is YAML, as JSON, with everything in it, so that it may be copied anywhere."""

    def data(file: str) -> str:
        return b64encode((folder / file).read_bytes()).decode()

    cluster = {"server": API, "certificate-authority-data": data("authority.crt")}
    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "launch-cluster", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "launch-cluster", "context": {"cluster": "launch-cluster", "user": name}}],
            "current-context": "launch-cluster",
        },
        indent=2,
    )
