"""A public-key infrastructure of our own: root, sub CA, certificates of facilities, and a CRL. And files to sign."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from claim_pipeline.signature.sign import sign
from claim_pipeline.transform.submission import write_submission
from claim_rules import cases

RECEIVED = dt.datetime(2026, 7, 10, 3, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class Pki:
    """Files in one folder: `<name>.key`, `<name>.pem` (the certificate, then the sub CA's), root.pem, sub.crl."""

    folder: Path
    certificates: dict[str, x509.Certificate]

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def chain(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    @property
    def root(self) -> Path:
        return self.folder / "trust" / "root.pem"

    def row(self, name: str, facility: str = "27001") -> dict[str, str]:
        """The certificate as certificates.csv registers it."""
        certificate = self.certificates[name]
        return {
            "MA_CSKCB": facility,
            "SERIAL": f"{certificate.serial_number:X}",
            "ISSUER": certificate.issuer.rfc4514_string(),
            "TU_NGAY": "20260101",
            "DEN_NGAY": "",
        }


def name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bệnh viện Thử nghiệm"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def issue(subject: str, key: Key, issuer: str, by: Key, begin: int, end: int, *uses: str) -> x509.Certificate:
    """begin, end: days from RECEIVED. A certificate that may sign certificates is a CA."""
    authority = "key_cert_sign" in uses
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(RECEIVED + begin * DAY)
        .not_valid_after(RECEIVED + end * DAY)
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.KeyUsage(**{use: use in uses for use in USES}), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), False)
    )
    return builder.sign(by, hashes.SHA256())


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")

    def new_rsa() -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    root_key, sub_key, stranger_key = new_rsa(), new_rsa(), new_rsa()
    ca = ("key_cert_sign", "crl_sign")
    root = issue("Gốc thử nghiệm", root_key, "Gốc thử nghiệm", root_key, -3000, 3000, *ca)
    sub = issue("CA thử nghiệm", sub_key, "Gốc thử nghiệm", root_key, -1500, 1500, *ca)
    stranger = issue("Gốc thử nghiệm", stranger_key, "Gốc thử nghiệm", stranger_key, -3000, 3000, *ca)
    signing = ("digital_signature", "content_commitment")
    leaves = {
        "rsa": (new_rsa(), sub_key, -100, 300, signing),
        "ec": (ec.generate_private_key(ec.SECP256R1()), sub_key, -100, 300, signing),
        "expired": (new_rsa(), sub_key, -800, -30, signing),
        "revoked": (new_rsa(), sub_key, -100, 300, signing),
        "other": (new_rsa(), sub_key, -100, 300, signing),
        "encrypting": (new_rsa(), sub_key, -100, 300, ("key_encipherment",)),
        "stranger": (new_rsa(), stranger_key, -100, 300, signing),
    }
    pem = serialization.Encoding.PEM
    certificates = {"root": root, "sub": sub}
    for leaf, (key, by, begin, end, uses) in leaves.items():
        issuer = "Gốc thử nghiệm" if by is stranger_key else "CA thử nghiệm"
        certificate = certificates[leaf] = issue(f"CSKCB {leaf}", key, issuer, by, begin, end, *uses)
        above = stranger if by is stranger_key else sub
        (folder / f"{leaf}.pem").write_bytes(certificate.public_bytes(pem) + above.public_bytes(pem))
        plain = serialization.NoEncryption()
        (folder / f"{leaf}.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "trust").mkdir()
    (folder / "trust" / "root.pem").write_bytes(root.public_bytes(pem))
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(certificates["revoked"].serial_number)
        .revocation_date(RECEIVED - 10 * DAY)
        .build()
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(sub.subject)
        .last_update(RECEIVED - DAY)
        .next_update(RECEIVED + 7 * DAY)
        .add_revoked_certificate(entry)
        .sign(sub_key, hashes.SHA256())
    )
    (folder / "trust" / "sub.crl").write_bytes(crl.public_bytes(serialization.Encoding.DER))
    return Pki(folder, certificates)


@pytest.fixture(scope="session")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base claim as claim XML of July 2026's layout."""
    path = tmp_path_factory.mktemp("files") / "in.xml"
    write_submission(path, cases.base_claim(), "27001", "20260710")
    return path


@pytest.fixture
def signed(pki: Pki, unsigned: Path, tmp_path: Path) -> Callable[..., Path]:
    """Signs a file (the base claim) as somebody of the PKI."""

    def make(who: str = "rsa", profile: str = "a", source: Path = unsigned, at: dt.datetime = RECEIVED - DAY) -> Path:
        out = tmp_path / f"{who}-{profile}.xml"
        sign(source, out, pki.key(who), pki.chain(who), profile, at)
        return out

    return make
