"""Verifies the signature of a claim file (XMLDSig in CHUKYDONVI) and hands out the bytes that were signed."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidDigest
from signxml.exceptions import InvalidSignature as NotSigned
from signxml.verifier import SignatureConfiguration, XMLVerifier

from claim_pipeline.signature.canonical import DS, UNIT, Document, NotValid, canonicalise

C14N = CanonicalizationMethod.CANONICAL_XML_1_0
ENVELOPED = f"{DS}enveloped-signature"
PROFILES = ("a", "b")
"""a: one reference to the whole document, enveloped. b: references by Id to THONGTINHOSO and to an Object with
SigningTime. Source: claim and 09/BH signatures as seen in the field; the portal's guide decides which is wanted."""

TIME_ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
_PARSER: dict[str, Any] = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}
_MIN_RSA_BITS, _MIN_EC_BITS = 2048, 256


@dataclass
class Verified:
    """A signature that holds. profile: "a" or "b". certificate: whose key made it; others: CA certificates that came
    with it. signed_at: SigningTime (profile b), None where it is missing or unreadable. what: what was signed, as
    (Vietnamese, English)."""

    profile: str
    certificate: x509.Certificate
    others: list[x509.Certificate] = field(default_factory=list)
    signed_at: datetime | None = None

    @property
    def what(self) -> tuple[str, str]:
        if self.profile == "a":
            return "toàn bộ tệp", "the whole file"
        return "THONGTINHOSO và thời điểm ký", "THONGTINHOSO and the time of signing"

    @property
    def serial(self) -> str:
        return f"{self.certificate.serial_number:X}"

    @property
    def issuer(self) -> str:
        return self.certificate.issuer.rfc4514_string()

    @property
    def organisation(self) -> str:
        """The organisation of the certificate; never a person's name."""
        names = self.certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
        return str(names[0].value) if names else ""


def verify(source: Path, verified: Path) -> Verified | None:
    """Verifies the signature inside `source`. None: the file is not signed. Raises NotValid where it does not hold.

    Where it holds, `verified` is a claim XML file made of the signed bytes in canonical form and of nothing else; in
    profile b, which leaves THONGTINDONVI unsigned, MACSKCB is put before them. Nothing is said about trust.
    """
    aside = verified.with_name(f".{verified.name}.part")
    try:
        with aside.open("w+b") as spool:
            document = canonicalise(source, spool)
            if document.signature is None:
                if document.box_filled:
                    raise NotValid(
                        "CHUKYDONVI có nội dung không phải chữ ký XMLDSig",
                        "CHUKYDONVI holds something that is no XMLDSig signature",
                    )
                return None
            found = _judge(document)
        if found.profile == "b":
            _keep_content(document, aside, verified)
        else:
            os.replace(aside, verified)
        return found
    finally:
        aside.unlink(missing_ok=True)


def _judge(document: Document) -> Verified:
    assert document.signature is not None
    parser = etree.XMLParser(**_PARSER)
    try:
        signature = etree.fromstring(document.signature, parser)
    except etree.XMLSyntaxError:
        raise _malformed() from None
    profile, uri, digest = _profile(signature, document)
    certificates = _certificates(signature)
    certificate = _signer(certificates)
    config = SignatureConfiguration(
        location="./",
        expect_references=PROFILES.index(profile) + 1,
        signature_methods=frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        default_reference_c14n_method=C14N,
        verification_time=certificate.not_valid_before_utc,  # whether it was valid is asked in `trust`
    )
    try:
        _Verifier(uri, digest).verify(
            document.signature, x509_cert=certificate, parser=parser, id_attribute="Id", expect_config=config
        )
    except InvalidDigest:
        raise NotValid("Nội dung đã bị thay đổi sau khi ký", "the content was changed after it was signed") from None
    except (NotSigned, InvalidSignature):
        raise NotValid(
            "Giá trị chữ ký không khớp với chứng thư kèm theo", "the signature value does not fit its certificate"
        ) from None
    except Exception:  # noqa: BLE001 - whatever a foreign signature makes the library raise, it does not hold
        raise _malformed() from None
    others = [one for one in certificates if one != certificate]
    return Verified(profile, certificate, others, _signing_time(signature) if profile == "b" else None)


def _malformed() -> NotValid:
    return NotValid(
        "Chữ ký không theo XMLDSig với SHA-256 (RSA hoặc ECDSA)",
        "the signature is not XMLDSig with SHA-256 (RSA or ECDSA)",
    )


class _Streamed(bytes):
    """Stands for a content that was digested while it was read."""


class _Verifier(XMLVerifier):
    """signxml on the Signature element alone: the digest of the signed content was taken while the file was read.

    It overrides private methods, so signxml is pinned exactly; the tests hold both directions against xmlsec1.
    """

    def __init__(self, uri: str, digest: bytes) -> None:
        super().__init__()
        self.uri = uri
        self.digest = digest

    def _c14n(self, nodes: Any, algorithm: Any, inclusive_ns_prefixes: Any = None) -> bytes:
        # lxml writes a wrong xmlns="" in a subtree whose default namespace is declared above it: parse the subtree anew
        if not isinstance(nodes, list) and nodes.getparent() is not None:
            nodes = self._fromstring(etree.tostring(nodes, with_tail=False))  # type: ignore[no-untyped-call]
        return bytes(super()._c14n(nodes, algorithm, inclusive_ns_prefixes))

    def _resolve_reference(self, doc_root: Any, reference: Any, uri_resolver: Any = None) -> Any:
        if reference.get("URI") == self.uri:
            return _Streamed()
        return super()._resolve_reference(doc_root, reference, uri_resolver)  # type: ignore[no-untyped-call]

    def _get_digest(self, data: Any, algorithm: Any) -> bytes:
        if isinstance(data, _Streamed):
            return self.digest
        return bytes(super()._get_digest(data, algorithm))


def _profile(signature: etree._Element, document: Document) -> tuple[str, str, bytes]:
    """Which profile the signature follows, the URI of its content and the digest that this content has."""
    info = signature.find(f"{{{DS}}}SignedInfo")
    method = info.find(f"{{{DS}}}CanonicalizationMethod") if info is not None else None
    if info is None or method is None or method.get("Algorithm") != C14N.value:
        raise NotValid(
            f"Chữ ký phải dùng phép chuẩn hóa {C14N.value}", f"the signature must use canonicalisation {C14N.value}"
        )
    references = info.findall(f"{{{DS}}}Reference")
    uris = [reference.get("URI") for reference in references]
    transforms = [
        [item.get("Algorithm") for item in reference.iterfind(f"{{{DS}}}Transforms/{{{DS}}}Transform")]
        for reference in references
    ]
    if uris == [""] and transforms[0] in ([ENVELOPED], [ENVELOPED, C14N.value]):
        return "a", "", document.sha256
    objects = signature.findall(f"{{{DS}}}Object")
    content = document.content
    if (
        len(uris) == 2
        and all(item in ([], [C14N.value]) for item in transforms)
        and content is not None
        and content.id
        and len(objects) == 1
        and objects[0].get("Id")
        and {f"#{content.id}", f"#{objects[0].get('Id')}"} == set(uris)
    ):
        if not document.plain:
            raise NotValid(
                "Ngoài THONGTINHOSO đã ký, tệp còn nội dung khác không được phép",
                "besides the signed THONGTINHOSO the file holds other content, which is not allowed",
            )
        return "b", f"#{content.id}", content.sha256
    raise NotValid(
        "Chữ ký không bao phủ nội dung hồ sơ theo cách quy định (cả tệp, hoặc THONGTINHOSO và thời điểm ký)",
        "the signature does not cover the claims in a known way (the whole file, or THONGTINHOSO and the signing time)",
    )


def _certificates(signature: etree._Element) -> list[x509.Certificate]:
    texts = [
        element.text or ""
        for element in signature.iterfind(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate")
    ]
    try:
        found = [
            x509.load_der_x509_certificate(base64.b64decode(re.sub(r"\s", "", text), validate=True)) for text in texts
        ]
    except (ValueError, binascii.Error):
        raise NotValid(
            "Chứng thư trong chữ ký không đọc được", "a certificate in the signature cannot be read"
        ) from None
    if not found:
        raise NotValid("Chữ ký không kèm chứng thư X.509", "the signature carries no X.509 certificate")
    return found


def _signer(certificates: list[x509.Certificate]) -> x509.Certificate:
    """The certificate that issued none of the others; its key must be strong enough."""
    issuers = [one.issuer for one in certificates if one.issuer != one.subject]
    leaves = [one for one in certificates if one.subject not in issuers]
    signer = leaves[0] if leaves else certificates[0]
    try:
        key = signer.public_key()
    except Exception:  # noqa: BLE001 - a key that cannot be read makes the signature invalid
        key = None
    strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= _MIN_EC_BITS
    )
    if not strong:
        raise NotValid(
            "Khóa ký phải là RSA từ 2048 bit hoặc ECDSA từ 256 bit",
            "the signing key must be RSA of at least 2048 bits or ECDSA of at least 256 bits",
        )
    return signer


def _signing_time(signature: etree._Element) -> datetime | None:
    texts = [element.text or "" for element in signature.iterfind(f"{{{DS}}}Object//{{*}}SigningTime")]
    if len(texts) != 1:
        return None
    text = texts[0].strip()
    for form in ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%d/%m/%Y %H:%M:%S"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=TIME_ZONE)
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=TIME_ZONE)


def _keep_content(document: Document, spool: Path, verified: Path) -> None:
    """The signed THONGTINHOSO as a claim file."""
    content = document.content
    assert content is not None
    aside = verified.with_name(f".{verified.name}.content.part")
    unit = etree.Element(UNIT)
    etree.SubElement(unit, "MACSKCB").text = document.facility
    with spool.open("rb") as signed, aside.open("wb") as out:
        out.write(b"<GIAMDINHHS>" + etree.tostring(unit, encoding="utf-8") + content.start_tag)
        signed.seek(content.begin)
        left = content.end - content.begin
        while left:
            chunk = signed.read(min(left, 1 << 20))
            out.write(chunk)
            left -= len(chunk)
        out.write(b"</GIAMDINHHS>")
    os.replace(aside, verified)
