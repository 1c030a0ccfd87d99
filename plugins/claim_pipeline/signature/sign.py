"""Signs a claim file: XMLDSig in CHUKYDONVI, profile a or b, SHA-256 with RSA or ECDSA."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree

from claim_pipeline.errors import OperatorError
from claim_pipeline.signature.canonical import BOX, DS, Document, NotValid, canonicalise
from claim_pipeline.signature.verify import C14N, ENVELOPED, PROFILES, TIME_ZONE

PROPERTIES = "http://example.org/#signatureProperties"
"""Namespace of SigningTime as the signatures of the field write it."""

CONTENT_ID = "THONGTINHOSO"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_METHOD = "http://www.w3.org/2001/04/xmldsig-more#{}-sha256"
_END = re.compile(rb"(<CHUKYDONVI(?:\s[^<]*)?>\s*)(</CHUKYDONVI>)(\s*</[^<>]+>)\Z")
_TAIL = 1 << 16
_DEFAULT: Any = {None: DS}
_OWN: Any = {None: PROPERTIES}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def sign(
    source: Path,
    out: Path,
    key_file: Path,
    certificate_file: Path,
    profile: str = "a",
    signed_at: datetime | None = None,
) -> x509.Certificate:
    """Writes `source` in canonical form with a signature to `out`; returns the certificate that signed.

    key_file: PEM without password. certificate_file: PEM, the signing certificate first, then those of its CAs (they
    go into the signature; the root may be left out). signed_at: SigningTime of profile b, default now. Raises
    OperatorError where key and certificate cannot be used, or the file cannot be signed.
    """
    if profile not in PROFILES:
        raise ValueError(f"no profile {profile}")
    key, certificates = _load(key_file, certificate_file)
    spool_path = out.with_name(f".{out.name}.spool.part")
    aside = out.with_name(f".{out.name}.part")
    try:
        with spool_path.open("w+b") as spool:
            try:
                document = canonicalise(source, spool, content_id=CONTENT_ID if profile == "b" else None)
            except NotValid as error:
                raise _cannot(error.vi, error.en) from None
            if document.signature is not None or document.box_filled:
                raise _cannot("Tệp đã có chữ ký trong CHUKYDONVI", "the file already holds a signature in CHUKYDONVI")
            if profile == "b" and (document.content is None or not document.plain):
                raise _cannot(
                    "Mẫu b cần đúng một THONGTINHOSO và không có nội dung lạ ở gốc",
                    "profile b needs exactly one THONGTINHOSO and nothing foreign beside it",
                )
            before, head, tail = _split(spool)
            whole = _digest(spool, before, head + tail)
            signature = _signature(document, whole, key, certificates, profile, signed_at or datetime.now(TIME_ZONE))
            with aside.open("wb") as target:
                target.write(b'<?xml version="1.0" encoding="utf-8"?>\n')
                spool.seek(0)
                _copy(spool, target, before)
                target.write(head + signature + tail)
        os.replace(aside, out)
    finally:
        spool_path.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)
    return certificates[0]


def _load(key_file: Path, certificate_file: Path) -> tuple[Key, list[x509.Certificate]]:
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        certificates = x509.load_pem_x509_certificates(certificate_file.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _cannot(
            "Khóa hoặc chứng thư không phải PEM đọc được (khóa không đặt mật khẩu)",
            "key or certificate is no readable PEM (the key without a password)",
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _cannot("Khóa phải là RSA hoặc ECDSA", "the key must be RSA or ECDSA")
    if certificates[0].public_key() != key.public_key():
        raise _cannot("Chứng thư đầu tiên không thuộc khóa này", "the first certificate does not belong to this key")
    return key, certificates


def _cannot(vi: str, en: str) -> OperatorError:
    return OperatorError("cannot-sign", vi, en)


def _split(spool: BinaryIO) -> tuple[int, bytes, bytes]:
    """Where the signature goes: bytes of the spool that stay before, then the text up to it, then what follows it."""
    size = spool.seek(0, os.SEEK_END)
    start = max(size - _TAIL, 0)
    spool.seek(start)
    end = spool.read()
    found = _END.search(end)
    if found:
        return start + found.start(), found[1], found[2] + found[3]
    cut = end.rindex(b"</")
    return start + cut, f"<{BOX}>".encode(), f"</{BOX}>".encode() + end[cut:]


def _digest(spool: BinaryIO, before: int, rest: bytes) -> bytes:
    digest = hashlib.sha256()
    spool.seek(0)
    left = before
    while left:
        chunk = spool.read(min(left, 1 << 20))
        digest.update(chunk)
        left -= len(chunk)
    digest.update(rest)
    return digest.digest()


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> None:
    while size:
        chunk = source.read(min(size, 1 << 20))
        target.write(chunk)
        size -= len(chunk)


def _signature(
    document: Document, whole: bytes, key: Key, certificates: list[x509.Certificate], profile: str, signed_at: datetime
) -> bytes:
    """The Signature element as it is written. The namespaces of its place are part of what is signed."""
    place = etree.Element(BOX, nsmap={prefix: uri for prefix, uri in document.namespaces.items() if prefix})
    name = f"CHUKYDONVI-{whole.hex()[:16]}"
    signature = etree.SubElement(place, _ds("Signature"), nsmap=_DEFAULT, Id=name)
    info = etree.SubElement(signature, _ds("SignedInfo"))
    etree.SubElement(info, _ds("CanonicalizationMethod"), Algorithm=C14N.value)
    algorithm = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa"
    etree.SubElement(info, _ds("SignatureMethod"), Algorithm=_METHOD.format(algorithm))
    value = etree.SubElement(signature, _ds("SignatureValue"))
    data = etree.SubElement(etree.SubElement(signature, _ds("KeyInfo")), _ds("X509Data"))
    for certificate in certificates:
        element = etree.SubElement(data, _ds("X509Certificate"))
        element.text = _base64(certificate.public_bytes(serialization.Encoding.DER))
    content = document.content
    if profile == "b" and content is not None:
        moment = etree.SubElement(signature, _ds("Object"), Id=f"SigningTime-{name}")
        held = etree.SubElement(moment, _ds("SignatureProperties"))
        one = etree.SubElement(held, _ds("SignatureProperty"), Target=f"#{name}", Id=f"SigningTime-property-{name}")
        time = etree.SubElement(one, f"{{{PROPERTIES}}}SigningTime", nsmap=_OWN)
        time.text = signed_at.astimezone(TIME_ZONE).isoformat(timespec="seconds")
        _refer(info, f"#SigningTime-{name}", hashlib.sha256(_canonical(moment)).digest())
        _refer(info, f"#{content.id}", content.sha256)
    else:
        _refer(info, "", whole, ENVELOPED)
    value.text = _base64(_made_by(key, _canonical(info)))
    # exclusive form: only what the element itself uses, so that the namespaces of its place are not written again
    return _canonical(signature, exclusive=True)


def _ds(name: str) -> str:
    return f"{{{DS}}}{name}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _refer(info: etree._Element, uri: str, digest: bytes, *transforms: str) -> None:
    reference = etree.SubElement(info, _ds("Reference"), URI=uri)
    if transforms:
        applied = etree.SubElement(reference, _ds("Transforms"))
        for transform in transforms:
            etree.SubElement(applied, _ds("Transform"), Algorithm=transform)
    etree.SubElement(reference, _ds("DigestMethod"), Algorithm=_SHA256)
    etree.SubElement(reference, _ds("DigestValue")).text = _base64(digest)


def _canonical(element: etree._Element, *, exclusive: bool = False) -> bytes:
    # parsed anew: lxml writes a wrong xmlns="" in a subtree whose default namespace is declared above it
    whole = etree.fromstring(etree.tostring(element, with_tail=False), etree.XMLParser(resolve_entities=False))
    data: Any = etree.tostring(whole, method="c14n", exclusive=exclusive, with_comments=False)
    return bytes(data)


def _made_by(key: Key, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
