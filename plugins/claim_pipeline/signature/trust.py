"""Whose certificate it is: chain to the configured trust anchors, validity, revocation by the CRLs given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509 import verification as v

from claim_pipeline.errors import OperatorError
from claim_pipeline.signature.canonical import NotValid

MAX_CHAIN = 5
_SUFFIXES = {".pem", ".crt", ".cer", ".der", ".crl"}


@dataclass(frozen=True)
class Trust:
    """Trust anchors (self-issued certificates), further CA certificates that help to build a chain, and CRLs."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = field(default=())


def load(path: Path) -> Trust:
    """Reads trust anchors from a PEM file (CRLs may stand in it, or beside it as *.crl), or every *.pem, *.crt, *.cer,
    *.der and *.crl of a folder. Raises OperatorError for what cannot be read, and where there is no anchor."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
    elif path.is_file():
        files = [path, *sorted(file for file in path.parent.glob("*.crl") if file != path)]
    else:
        raise _unusable(path, "không có tệp hoặc thư mục này", "there is no such file or folder")
    certificates: list[x509.Certificate] = []
    crls: list[x509.CertificateRevocationList] = []
    for file in files:
        data = file.read_bytes()
        try:
            if b"-----BEGIN X509 CRL-----" in data:
                blocks = data.split(b"-----BEGIN X509 CRL-----")[1:]
                crls += [x509.load_pem_x509_crl(b"-----BEGIN X509 CRL-----" + block) for block in blocks]
            if b"-----BEGIN CERTIFICATE-----" in data:
                certificates += x509.load_pem_x509_certificates(data)
            elif not data.lstrip().startswith(b"-----"):
                if file.suffix.lower() == ".crl":
                    crls.append(x509.load_der_x509_crl(data))
                else:
                    certificates.append(x509.load_der_x509_certificate(data))
        except (ValueError, UnsupportedAlgorithm):
            raise _unusable(file, "không đọc được chứng thư hoặc CRL", "no certificate or CRL can be read") from None
    anchors = tuple(one for one in certificates if one.issuer == one.subject)
    if not anchors:
        raise _unusable(path, "không có chứng thư gốc (tự cấp) nào", "there is no root (self-issued) certificate")
    return Trust(anchors, tuple(one for one in certificates if one.issuer != one.subject), tuple(crls))


def _unusable(path: Path, vi: str, en: str) -> OperatorError:
    return OperatorError(
        "trust-anchors",
        f"Chứng thư tin cậy {path.name}: {vi}",
        f"trust anchors {path.name}: {en}",
        "Cấu hình lại tệp PEM hoặc thư mục chứng thư gốc",
        "set the PEM file or the folder of root certificates again",
    )


def check(
    certificate: x509.Certificate,
    others: Iterable[x509.Certificate],
    trust: Trust,
    *,
    signed_at: datetime,
    received_at: datetime,
) -> bool:
    """Whether the certificate was good when it signed; raises NotValid with the reason where it was not.

    others: CA certificates that came with the signature. signed_at: the moment at which the chain must be valid.
    Revocation counts until received_at: the signer alone says when he signed, and may say it after his key was taken.
    Returns whether every certificate of the chain was looked up in a CRL of its issuer.
    """
    if not certificate.not_valid_before_utc <= signed_at <= certificate.not_valid_after_utc:
        raise NotValid(
            f"Chứng thư hết hạn hoặc chưa có hiệu lực lúc ký (hiệu lực đến {certificate.not_valid_after_utc:%d/%m/%Y})",
            "the certificate had expired or was not yet valid when it signed "
            f"(valid until {certificate.not_valid_after_utc:%Y-%m-%d})",
        )
    verifier = (
        v.PolicyBuilder()
        .store(v.Store(list(trust.anchors)))
        .time(signed_at.astimezone(UTC))
        .max_chain_depth(MAX_CHAIN)
        .extension_policies(ee_policy=_END, ca_policy=_AUTHORITY)
        .build_client_verifier()
    )
    try:
        chain = verifier.verify(certificate, [*others, *trust.intermediates]).chain
    except (v.VerificationError, ValueError, x509.UnsupportedGeneralNameType):
        raise NotValid(
            "Chứng thư không dẫn về chứng thư gốc được tin cậy, hoặc không dùng để ký số",
            "the certificate does not lead to a trusted root, or is not one for signing",
        ) from None
    known = True
    for one, issuer in pairwise(chain):
        known &= _not_revoked(one, issuer, trust.crls, received_at)
    return known


def _not_revoked(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    crls: Iterable[x509.CertificateRevocationList],
    moment: datetime,
) -> bool:
    key = issuer.public_key()
    if not isinstance(
        key,
        rsa.RSAPublicKey
        | ec.EllipticCurvePublicKey
        | dsa.DSAPublicKey
        | ed25519.Ed25519PublicKey
        | ed448.Ed448PublicKey,
    ):
        return False
    mine = [crl for crl in crls if crl.issuer == issuer.subject and crl.is_signature_valid(key)]
    if not mine:
        return False
    for crl in mine:
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None and entry.revocation_date_utc <= moment:
            raise NotValid(
                f"Chứng thư đã bị thu hồi ngày {entry.revocation_date_utc:%d/%m/%Y}",
                f"the certificate was revoked on {entry.revocation_date_utc:%Y-%m-%d}",
            )
    if all(crl.next_update_utc is not None and crl.next_update_utc < moment for crl in mine):
        raise NotValid(
            "Danh sách thu hồi (CRL) của nơi cấp đã quá hạn, chưa xác định được tình trạng chứng thư",
            "the issuer's CRL is out of date, so the state of the certificate is not known",
        )
    return True


def _signs(_: v.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is None or not (usage.digital_signature or usage.content_commitment):
        raise ValueError("not a certificate for signatures")


def _is_authority(_: v.Policy, __: x509.Certificate, limits: x509.BasicConstraints | None) -> None:
    if limits is None or not limits.ca:
        raise ValueError("not a CA")


def _signs_certificates(_: v.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a CA that may not sign certificates")


_END = v.ExtensionPolicy.permit_all().require_present(x509.KeyUsage, v.Criticality.AGNOSTIC, _signs)
_AUTHORITY = (
    v.ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, v.Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, v.Criticality.AGNOSTIC, _signs_certificates)
)
