"""Signatures of simulated facilities: an authority, a certificate for each way in which a delivery can be signed.

For tests alone: the keys are derived from the seed, so that the same seed gives the same bytes, and whoever knows the
seed has the keys. None is written; nothing outside a simulation may trust the authority.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import math
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas as pd
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from claim_pipeline.signature import CLOCK_TOLERANCE
from claim_pipeline.signature.canonical import DS
from claim_pipeline.signature.sign import sign
from claim_pipeline.steps import TIME_ZONE
from claim_simulator.facilities import Facility
from claim_simulator.tables import NOTE

UNSIGNED, GOOD, GOOD_TIMED = "unsigned", "good", "good, with the time of signing"
ALTERED, FORGED = "altered after it was signed", "forged value"
STRANGER, EXPIRED, REVOKED, UNREGISTERED = "stranger", "expired", "revoked", "unregistered"
EARLY, LATE = "signed before the last patients left", "signed after receipt"
WAYS = (
    *(UNSIGNED, STRANGER, GOOD, ALTERED, EXPIRED, EARLY),
    *(FORGED, REVOKED, LATE, UNSIGNED, UNREGISTERED, GOOD_TIMED),
)
"""How the deliveries of a simulation are signed, in turn."""
UNTRUSTED = (STRANGER, EXPIRED, REVOKED, UNREGISTERED)
TIMED = (GOOD_TIMED, EARLY, LATE)
"""Signed by profile b, which tells the time of signing; the others by profile a."""

AUTHORITY = "CA Thu Nghiem"
_BITS = 2048
_EXPONENT = 65_537
_DAY = dt.timedelta(days=1)
_USES = (
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


_CONTENT = re.compile(rb"<NOIDUNGFILE>([A-Za-z0-9+/=]+)</NOIDUNGFILE>")


class Signers:
    """Who signs in a simulation. first_day: of its month, by which the certificates are dated."""

    def __init__(self, seed: int, first_day: dt.date) -> None:
        self._seed = seed
        self._start = dt.datetime(first_day.year, first_day.month, first_day.day, tzinfo=TIME_ZONE)
        self._certificates: dict[tuple[str, str], x509.Certificate] = {}

    def sign(self, path: Path, house: Facility, way: str, moment: dt.datetime) -> None:
        """Signs a claim file in place. moment: SigningTime of the ways in TIMED."""
        key = self._key(house.code)
        authority = self._root(way)
        with tempfile.TemporaryDirectory(prefix="giamdinh-") as folder:
            key_file, chain = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
            form = serialization.PrivateFormat.PKCS8
            pem = serialization.Encoding.PEM
            key_file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
            certificate = self.certificate(house, way)
            chain.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))
            sign(path, path, key_file, chain, "b" if way in TIMED else "a", moment)
        if way == ALTERED:
            _alter(path)
        elif way == FORGED:
            _forge(path)

    def certificate(self, house: Facility, way: str) -> x509.Certificate:
        """The certificate of a facility for a way of signing."""
        kind = way if way in UNTRUSTED else GOOD
        if (house.code, kind) not in self._certificates:
            begin, end = (-800, 0) if way == EXPIRED else (-300, 700)
            self._certificates[house.code, kind] = self._issue(
                f"CSKCB {house.code}", house.code, STRANGER if way == STRANGER else "", begin, end, kind
            )
        return self._certificates[house.code, kind]

    def registered(self, houses: list[Facility]) -> pd.DataFrame:
        """certificates.csv: all that are not UNREGISTERED."""
        rows = []
        for house in houses:
            for way in (GOOD, STRANGER, EXPIRED, REVOKED):
                certificate = self.certificate(house, way)
                issuer = certificate.issuer.rfc4514_string()
                rows.append((house.code, f"{certificate.serial_number:X}", issuer, "20200101", ""))
        return pd.DataFrame(rows, columns=["MA_CSKCB", "SERIAL", "ISSUER", "TU_NGAY", "DEN_NGAY"])

    def write_trust(self, folder: Path, houses: list[Facility]) -> None:
        """What a receiver is to trust: root.pem and root.crl, which revokes a certificate of each facility."""
        folder.mkdir(exist_ok=True)
        root = self._root("")
        (folder / "root.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(root.subject)
            .last_update(self._start - _DAY)
            .next_update(self._start + 400 * _DAY)
        )
        for house in houses:
            entry = x509.RevokedCertificateBuilder().serial_number(self.certificate(house, REVOKED).serial_number)
            crl = crl.add_revoked_certificate(entry.revocation_date(self._start - 10 * _DAY).build())
        signed = crl.sign(self._key("root"), hashes.SHA256())
        (folder / "root.crl").write_bytes(signed.public_bytes(serialization.Encoding.DER))

    def _root(self, way: str) -> x509.Certificate:
        """The authority that is trusted, or one of the same name that nobody knows."""
        kind = STRANGER if way == STRANGER else ""
        if ("", kind) not in self._certificates:
            self._certificates["", kind] = self._issue(AUTHORITY, f"root{kind}", kind, -3000, 3000, "root")
        return self._certificates["", kind]

    def _issue(self, subject: str, key: str, by: str, begin: int, end: int, kind: str) -> x509.Certificate:
        """by: "" or STRANGER, which authority; begin, end: days from the first of the month."""
        authority = kind == "root"
        public, issuer = self._key(key).public_key(), self._key(f"root{by}")
        uses = ("key_cert_sign", "crl_sign") if authority else ("digital_signature", "content_commitment")
        serial = int.from_bytes(hashlib.sha256(f"{self._seed} {key} {kind} {by}".encode()).digest()[:8]) >> 1
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(AUTHORITY))
            .public_key(public)
            .serial_number(serial + 1)
            .not_valid_before(self._start + begin * _DAY)
            .not_valid_after(self._start + end * _DAY - dt.timedelta(seconds=1))
            .add_extension(x509.BasicConstraints(authority, None), True)
            .add_extension(x509.KeyUsage(**{use: use in uses for use in _USES}), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
        )
        return builder.sign(issuer, hashes.SHA256())

    def _key(self, whose: str) -> rsa.RSAPrivateKey:
        return _derived(self._seed, whose)


def latest(received: dt.datetime) -> dt.datetime:
    """The latest time of signing that a receiver believes."""
    return received + CLOCK_TOLERANCE


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Giamdinh, du lieu mo phong"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _alter(path: Path) -> None:
    """One letter of a claim's notes becomes another, after the file was signed."""
    text = path.read_bytes()
    for found in _CONTENT.finditer(text):
        content = base64.b64decode(found[1])
        if NOTE.encode() in content:
            other = base64.b64encode(content.replace(NOTE.encode(), NOTE.lower().encode(), 1))
            path.write_bytes(text[: found.start(1)] + other + text[found.end(1) :])
            return


def _forge(path: Path) -> None:
    """A signature value that no key made."""
    tree = etree.parse(str(path), etree.XMLParser(huge_tree=True))
    text = path.read_bytes()
    value = (tree.findtext(f".//{{{DS}}}SignatureValue") or "").encode()
    path.write_bytes(text.replace(value, value[:8] + value[8:16][::-1] + value[16:]))


# -- keys ------------------------------------------------------------------------------------------------------------


@cache
def _derived(seed: int, whose: str) -> rsa.RSAPrivateKey:
    """An RSA key that follows from seed and name; for tests alone."""
    numbers = _numbers(f"giamdinh simulator {seed} {whose}")
    p, q = _prime(numbers), _prime(numbers)
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()


def _numbers(text: str) -> Iterator[int]:
    """Numbers of half a key's size, the two highest bits and the lowest set."""
    count = 0
    while True:
        size = _BITS // 2
        drawn = int.from_bytes(hashlib.shake_256(f"{text} {count}".encode()).digest(size // 8))
        yield drawn | (3 << (size - 2)) | 1
        count += 1


_SMALL = math.prod(n for n in range(3, 2000) if all(n % m for m in range(2, math.isqrt(n) + 1)))
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19)


def _prime(numbers: Iterator[int]) -> int:
    for number in numbers:
        for candidate in range(number, number + 2000, 2):
            fits = math.gcd(candidate, _SMALL) == 1 and (candidate - 1) % _EXPONENT
            if fits and all(_passes(candidate, witness) for witness in _WITNESSES):
                return candidate
    raise AssertionError  # the numbers never end


def _passes(number: int, witness: int) -> bool:
    """Miller and Rabin's test."""
    twos = ((number - 1) & (1 - number)).bit_length() - 1
    power = pow(witness, (number - 1) >> twos, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False
