"""Signing and verifying: both profiles, both kinds of keys, against xmlsec1, and against those who cheat."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lxml import etree

from claim_pipeline import signature, steps
from claim_pipeline.errors import OperatorError
from claim_pipeline.settings import settings as product_settings
from claim_pipeline.signature.canonical import DS, NotValid, canonicalise
from claim_pipeline.signature.sign import sign
from claim_pipeline.signature.trust import load
from claim_pipeline.signature.verify import Verified, verify

RECEIVED = datetime(2026, 7, 10, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
BOTH = pytest.mark.parametrize("profile", ["a", "b"])
ROOT = Path(__file__).parents[3]
IDS = ["--id-attr:Id", "THONGTINHOSO", "--id-attr:Id", f"{DS}:Object"]

Signed = Callable[..., Path]


def xmlsec1(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["xmlsec1", *map(str, words)], capture_output=True, text=True, check=False)


def verified(path: Path) -> Verified | None:
    return verify(path, path.with_suffix(".verified"))


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


def ma_lk_read(path: Path) -> list[str]:
    from claim_pipeline.extract.source import read

    return read(path, inbox_facility=None, limits=product_settings()).tables.claims["MA_LK"].tolist()


# --- round trip ---------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("who", ["rsa", "ec"])
def test_what_we_sign_verifies_and_is_what_is_read(signed: Signed, pki: Any, who: str, profile: str) -> None:
    path = signed(who, profile)
    found = verified(path)
    assert found is not None
    assert (found.profile, found.certificate) == (profile, pki.certificates[who])
    assert found.signed_at == (RECEIVED - DAY if profile == "b" else None)
    assert ma_lk_read(path.with_suffix(".verified")) == ma_lk_read(path) == ["27001.2508.0001"]
    judged = signature.judge(found, RECEIVED, load(pki.root))
    assert judged.trusted, judged.reason_en
    assert judged.day == ("20260709" if profile == "b" else "20260710")


@BOTH
@pytest.mark.parametrize("who", ["rsa", "ec"])
def test_xmlsec1_accepts_what_we_sign(signed: Signed, pki: Any, who: str, profile: str) -> None:
    time = ["--verification-gmt-time", RECEIVED.strftime("%Y-%m-%d %H:%M:%S")]
    trust = ["--enabled-key-data", "x509", "--trusted-pem", pki.root]
    path = signed(who, profile)
    done = xmlsec1("--verify", *trust, *time, *IDS, path)
    assert done.returncode == 0, done.stderr
    count = 1 if profile == "a" else 2
    assert f"SignedInfo References (ok/all): {count}/{count}" in done.stdout + done.stderr
    assert xmlsec1("--verify", *trust, *time, *IDS, changed(path, "20260710", "20260711")).returncode != 0


@BOTH
@pytest.mark.parametrize("namespace", ["default", "prefix"])
@pytest.mark.parametrize("who", ["rsa", "ec"])
def test_we_accept_what_xmlsec1_signs(
    unsigned: Path, pki: Any, tmp_path: Path, who: str, namespace: str, profile: str
) -> None:
    method = "rsa" if who == "rsa" else "ecdsa"
    p = "" if namespace == "default" else "ds:"
    digest = f'<{p}DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><{p}DigestValue/>'
    # as a public signer writes it: elements in no namespace inside the Object
    moment = (
        f'<{p}Object Id="T1"><SignatureProperties xmlns=""><SignatureProperty Target="#S1">'
        f"<SigningTime>2026-07-09T08:00:00</SigningTime></SignatureProperty></SignatureProperties></{p}Object>"
    )
    references = {
        "a": f'<{p}Reference URI=""><{p}Transforms><{p}Transform Algorithm="{DS}enveloped-signature"/>'
        f"</{p}Transforms>{digest}</{p}Reference>",
        "b": f'<{p}Reference URI="#T1">{digest}</{p}Reference><{p}Reference URI="#ND1">{digest}</{p}Reference>',
    }[profile]
    declared = f'xmlns="{DS}"' if namespace == "default" else f'xmlns:ds="{DS}"'
    template = (
        f'<{p}Signature {declared} Id="S1"><{p}SignedInfo>'
        f'<{p}CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
        f'<{p}SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#{method}-sha256"/>{references}'
        f"</{p}SignedInfo><{p}SignatureValue/><{p}KeyInfo><{p}X509Data/></{p}KeyInfo>"
        f"{moment if profile == 'b' else ''}</{p}Signature>"
    )
    text = unsigned.read_text("utf-8").replace("<CHUKYDONVI/>", f"<CHUKYDONVI>{template}</CHUKYDONVI>")
    assert template in text
    made, out = tmp_path / "template.xml", tmp_path / "signed.xml"
    made.write_text(text.replace("<THONGTINHOSO>", '<THONGTINHOSO Id="ND1">'), "utf-8")
    chain = pki.chain(who).read_bytes().split(b"-----END CERTIFICATE-----")
    keys = [pki.key(who)]
    for number, part in enumerate(chain[:2]):
        (tmp_path / f"{number}.pem").write_bytes(part.strip() + b"\n-----END CERTIFICATE-----\n")
        keys.append(tmp_path / f"{number}.pem")
    done = xmlsec1("--sign", "--privkey-pem", ",".join(map(str, keys)), *IDS, "--output", out, made)
    assert done.returncode == 0, done.stderr
    found = verified(out)
    assert found is not None
    assert (found.profile, found.certificate) == (profile, pki.certificates[who])
    changed(out, "20260710", "20260711")
    with pytest.raises(NotValid):
        verified(out)


def test_a_file_that_is_signed_already_or_a_foreign_key_is_refused(signed: Signed, pki: Any, tmp_path: Path) -> None:
    path = signed()
    with pytest.raises(OperatorError, match="already holds"):
        sign(path, tmp_path / "twice.xml", pki.key("ec"), pki.chain("ec"))
    with pytest.raises(OperatorError, match="does not belong"):
        sign(path, tmp_path / "twice.xml", pki.key("ec"), pki.chain("rsa"))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rsa-a.xml"]


# --- canonical form ------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "p:a", "q:b", "CHU"])
TEXTS = st.text(st.sampled_from("aAđ \n\t&<>\"'é😀]"), max_size=8)


@st.composite
def elements(draw: Any, depth: int = 3) -> str:
    name = draw(NAMES)
    quoted = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\n": "&#10;", "\t": "&#9;"}
    named = st.sampled_from(["x", "y", "p:x", "q:z", "r:z"])
    attributes: dict[str, str] = draw(st.dictionaries(named, TEXTS, max_size=3))
    for key, values in (("xmlns", ["", "urn:d"]), ("xmlns:p", ["urn:1", "urn:2"])):
        value = draw(st.sampled_from([None, *values]))
        if value is not None:
            attributes[key] = value
    written = "".join(f' {key}="{"".join(quoted.get(c, c) for c in value)}"' for key, value in attributes.items())
    inner = [draw(TEXTS).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for _ in range(2)]
    if draw(st.booleans()):
        inner.append("<!-- c --><![CDATA[a<&]]>")
    if depth:
        inner += [draw(elements(depth - 1)) for _ in range(draw(st.integers(0, 2)))]
    return f"<{name}{written}>{''.join(inner)}</{name}>"


@given(elements())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@example('<a xmlns="urn:d"><b xmlns=""><a xmlns=""/></b></a>')
def test_the_canonical_form_is_that_of_libxml2(tmp_path: Path, inner: str) -> None:
    source = tmp_path / "any.xml"
    source.write_text(f'<R xmlns:p="urn:1" xmlns:q="urn:2" xmlns:r="urn:3">{inner}</R>', "utf-8")
    out = io.BytesIO()
    canonicalise(source, out)
    assert out.getvalue() == etree.tostring(etree.parse(source), method="c14n", with_comments=False)


# --- tampering -----------------------------------------------------------------------------------------------------


@BOTH
@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_signed_byte_that_changes_is_noticed(
    signed: Signed, tmp_path: Path, profile: str, data: st.DataObject
) -> None:
    path = signed("ec", profile)
    whole = path.read_bytes()
    parts = {
        "a": [(b"<GIAMDINHHS", b"<Signature"), (b"<SignedInfo", b"<SignatureValue")],
        "b": [(b"<THONGTINHOSO", b"<CHUKYDONVI"), (b"<SignedInfo", b"<SignatureValue"), (b"<Object", b"</Signature>")],
    }
    start, end = (whole.index(mark) for mark in data.draw(st.sampled_from(parts[profile])))
    place = data.draw(st.integers(start, end - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    other = tmp_path / "tampered.xml"
    other.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    try:
        verified(other)
    except NotValid:
        return
    # the one thing left: the same document in other bytes (a line break between two attributes)
    assert canonical(other) == canonical(path)


def canonical(path: Path) -> bytes:
    return bytes(etree.tostring(etree.parse(path), method="c14n", with_comments=False))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('xmlenc#sha256"', 'xmlenc#sha512"'),
        ("xmldsig-more#rsa-sha256", "xmldsig-more#rsa-sha512"),
        ("REC-xml-c14n-20010315", "REC-xml-c14n-20010315#WithComments"),
        ("#enveloped-signature", "#base64"),
        ('URI=""', 'URI="#none"'),
        ("<X509Data>", "<X509Data><!-- -->AA=="),
        ("<SignatureValue>", "<SignatureValue>AAAA"),
        ("</SignedInfo>", "</SignedInfo><SignedInfo/>"),
        ("<GIAMDINHHS", "<!DOCTYPE GIAMDINHHS><GIAMDINHHS"),
        ("<THONGTINHOSO", "<?a b?><THONGTINHOSO"),
        ("<THONGTINHOSO", '<THONGTINHOSO xml:lang="vi"'),
    ],
)
def test_other_algorithms_and_forms_are_not_valid(signed: Signed, old: str, new: str) -> None:
    with pytest.raises(NotValid):
        verified(changed(signed(), old, new))


# --- wrapping ------------------------------------------------------------------------------------------------------


def fake(path: Path) -> str:
    """THONGTINHOSO of the file with another MA_LK claim in it, without an Id."""
    content = etree.parse(path).find("THONGTINHOSO")
    del content.attrib["Id"]
    content.find("NGAYLAP").text = "20260101"
    return etree.tostring(content, encoding="unicode")


WRAPPED: dict[str, Callable[[str, str], str]] = {
    "the signed content moved into an element of its own": lambda text, other: re.sub(
        "(<THONGTINHOSO.*</THONGTINHOSO>)", lambda m: f"{other}<KHAC>{m[1]}</KHAC>", text, flags=re.S
    ),
    "the signed content inside a false one": lambda text, other: re.sub(
        "(<THONGTINHOSO.*</THONGTINHOSO>)",
        lambda m: other.replace("</THONGTINHOSO>", f"{m[1]}</THONGTINHOSO>"),
        text,
        flags=re.S,
    ),
    "a second content": lambda text, other: text.replace("<CHUKYDONVI>", f"{other}<CHUKYDONVI>"),
    "claims beside the signed content": lambda text, other: text.replace(
        "<CHUKYDONVI>", "<DANHSACHHOSO><HOSO/></DANHSACHHOSO><CHUKYDONVI>"
    ),
    "the signed content hidden in the signature": lambda text, other: re.sub(
        "(<THONGTINHOSO.*</THONGTINHOSO>)(.*)(</Signature>)",
        lambda m: f"{other}{m[2]}<Object>{m[1]}</Object>{m[3]}",
        text,
        flags=re.S,
    ),
    "a second Id of the same value": lambda text, other: text.replace("<MACSKCB>", '<MACSKCB Id="THONGTINHOSO">'),
    "a second CHUKYDONVI": lambda text, other: text.replace("<CHUKYDONVI>", "<CHUKYDONVI/><CHUKYDONVI>"),
    "a CHUKYDONVI in the content": lambda text, other: text.replace("<NGAYLAP>", "<CHUKYDONVI/><NGAYLAP>"),
    "content after CHUKYDONVI": lambda text, other: text.replace("</CHUKYDONVI>", f"</CHUKYDONVI>{other}"),
    "two signatures": lambda text, other: re.sub("(<Signature .*</Signature>)", r"\1\1", text, flags=re.S),
    "the signature at the root": lambda text, other: text.replace("<CHUKYDONVI>", "").replace("</CHUKYDONVI>", ""),
    "the signature deeper": lambda text, other: text.replace("<CHUKYDONVI>", "<CHUKYDONVI><KHAC>").replace(
        "</CHUKYDONVI>", "</KHAC></CHUKYDONVI>"
    ),
    "a foreign element beside the signature": lambda text, other: text.replace("<CHUKYDONVI>", "<CHUKYDONVI><KHAC/>"),
}


@BOTH
@pytest.mark.parametrize("attack", WRAPPED)
def test_wrapping_is_not_valid(signed: Signed, tmp_path: Path, attack: str, profile: str) -> None:
    path = signed("ec", profile)
    text = path.read_text("utf-8")
    other = fake(signed("ec", "b", at=RECEIVED - 2 * DAY))
    attacked = WRAPPED[attack](text, other)
    assert attacked != text
    bad = tmp_path / "attacked.xml"
    bad.write_text(attacked, "utf-8")
    with pytest.raises(NotValid):
        verified(bad)
    assert not bad.with_suffix(".verified").exists()


def test_what_is_not_signed_of_profile_b_is_not_read(signed: Signed) -> None:
    path = changed(signed("rsa", "b"), "<THONGTINDONVI>", "<THONGTINDONVI><!-- x --><KHAC>9</KHAC>")
    assert verified(path) is not None
    assert b"KHAC" not in path.with_suffix(".verified").read_bytes()


def test_no_signature_and_something_else_in_its_place(unsigned: Path, tmp_path: Path) -> None:
    assert verify(unsigned, tmp_path / "none") is None
    path = tmp_path / "text.xml"
    path.write_text(unsigned.read_text("utf-8").replace("<CHUKYDONVI/>", "<CHUKYDONVI>Signature</CHUKYDONVI>"), "utf-8")
    with pytest.raises(NotValid, match="no XMLDSig"):
        verified(path)


# --- trust ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "said"),
    [
        ("rsa", ""),
        ("ec", ""),
        ("other", ""),
        ("expired", "expired"),
        ("revoked", "revoked"),
        ("encrypting", "not one for signing"),
        ("stranger", "does not lead to a trusted root"),
    ],
)
def test_whose_certificate_is_trusted(signed: Signed, pki: Any, who: str, said: str) -> None:
    found = verified(signed(who))
    assert found is not None
    judged = signature.judge(found, RECEIVED, load(pki.root))
    assert judged.trusted == (not said)
    assert said in judged.reason_en
    assert signature.judge(found, RECEIVED, None).trusted is None
    assert load(pki.root.parent) == load(pki.root)  # a folder as well


def test_the_moment_that_decides(signed: Signed, pki: Any) -> None:
    trust = load(pki.root)
    before = RECEIVED - 40 * DAY

    def judge(who: str, at: datetime, received: datetime = RECEIVED) -> Any:
        found = verified(signed(who, "b", at=at))
        assert found is not None
        return signature.judge(found, received, trust)

    assert judge("expired", before).trusted  # it was valid when it signed
    assert not judge("expired", RECEIVED).trusted
    # when a revoked key signed, only its holder says: what comes after the revocation is not trusted
    assert not judge("revoked", before).trusted
    assert judge("revoked", before, before).trusted
    ahead = judge("rsa", RECEIVED + DAY)
    assert (ahead.late, ahead.day) == (True, "20260710")
    assert not judge("rsa", RECEIVED + timedelta(minutes=4)).late
    stale = judge("rsa", RECEIVED, RECEIVED + 30 * DAY)
    assert not stale.trusted
    assert "out of date" in stale.reason_en


def test_trust_anchors_that_cannot_be_used(pki: Any, tmp_path: Path) -> None:
    for content in (
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        pki.chain("rsa").read_bytes(),
    ):
        (tmp_path / "x.pem").write_bytes(content)
        with pytest.raises(OperatorError):
            load(tmp_path / "x.pem")


# --- the whole way -------------------------------------------------------------------------------------------------


def report_of(path: Path, reference: dict[str, pd.DataFrame], trust: Any = None, at: datetime = RECEIVED) -> Any:
    with steps.check(path, reference, at, trust) as checked:
        return json.loads(checked.ws.report.read_text("utf-8"))


def registered(*rows: dict[str, str]) -> dict[str, pd.DataFrame]:
    return {"certificates": pd.DataFrame(list(rows)).astype("str")}


@BOTH
def test_a_claim_is_paperless_only_when_everything_holds(signed: Signed, pki: Any, profile: str) -> None:
    trust = load(pki.root)

    def told(path: Path, reference: Any, anchors: Any = trust) -> tuple[bool, list[str], list[str], list[str]]:
        report = report_of(path, reference, anchors)
        [claim] = report["claims"]
        assert claim["outcome"] == "accepted"
        rules = [finding["rule"] for finding in report["findings"]]
        skipped = [entry["rule"] for entry in report["skipped_rules"] if entry["rule"].startswith("SIG")]
        return claim["paperless"], claim["paperless_reasons"], rules, skipped

    mine = registered(pki.row("rsa"))
    path = signed("rsa", profile)
    assert told(path, mine) == (True, [], [], ["SIG-004"])
    assert told(path, mine, None) == (False, ["signature-untrusted"], [], ["SIG-002", "SIG-004"])
    missing = ["certificate-not-registered"]
    assert told(path, {}) == (False, missing, [], ["SIG-002", "SIG-004"])
    assert told(path, registered(pki.row("rsa", "27002"))) == (False, missing, ["SIG-002"], ["SIG-004"])
    revoked = told(signed("revoked", profile), registered(pki.row("revoked")))
    assert revoked == (False, ["signature-untrusted"], ["SIG-002"], ["SIG-004"])
    bad = changed(signed("rsa", profile), "<SOLUONGHOSO>1<", "<SOLUONGHOSO>01<")
    assert told(bad, mine) == (False, ["signature-invalid"], ["SIG-001"], ["SIG-004"])


def test_a_signed_file_inside_base64_or_a_zip(signed: Signed, pki: Any, tmp_path: Path) -> None:
    path, reference, trust = signed("ec"), registered(pki.row("ec")), load(pki.root)
    coded, packed, both = tmp_path / "coded.xml", tmp_path / "packed.zip", tmp_path / "both.zip"
    coded.write_bytes(base64.encodebytes(path.read_bytes()))
    for name, members in ((packed, [path]), (both, [path, signed("rsa")])):
        with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.write(member, member.name)
    for wrapped in (coded, packed):
        assert [claim["paperless"] for claim in report_of(wrapped, reference, trust)["claims"]] == [True]
    refused = report_of(both, reference, trust)["delivery"]
    assert (refused["status"], refused["reason"]["code"]) == ("quarantined", "several-signed-files")


def test_policy_and_profile_of_a_facility(
    signed: Signed, unsigned: Path, pki: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text('facilities: {"27001": {policy: required, profile: b}}', "utf-8")
    monkeypatch.setenv("GIAMDINH_SIGNATURE_POLICY", str(policy))
    monkeypatch.setenv("GIAMDINH_TRUST", str(pki.root))
    product_settings.cache_clear()
    try:
        outcomes = {}
        for name, path in (("none", unsigned), ("a", signed("rsa", "a")), ("b", signed("rsa", "b"))):
            [claim] = report_of(path, registered(pki.row("rsa")))["claims"]
            outcomes[name] = (claim["outcome"], claim["paperless"], [row["rule"] for row in claim["findings"]])
        assert outcomes == {
            "none": ("rejected", False, ["SIG-001", "SUB-001"]),
            "a": ("rejected", False, ["SIG-001", "SUB-001"]),
            "b": ("accepted", True, ["SUB-001"]),
        }
        policy.write_text("default: {policy: sometimes}", "utf-8")
        signature._wishes.cache_clear()
        with pytest.raises(OperatorError, match="not as it must be"):
            signature.wish("27001")
    finally:
        product_settings.cache_clear()
        signature._wishes.cache_clear()


# --- command line --------------------------------------------------------------------------------------------------


def giamdinh(*words: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    command = [sys.executable, "-m", "giamdinh", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_sign_and_verify_on_the_command_line(unsigned: Path, signed: Signed, pki: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.xml"
    keys = ("--key", pki.key("rsa"), "--cert", pki.chain("rsa"))
    done = giamdinh("sign", unsigned, *keys, "--out", out, "--profile", "b")
    assert done.returncode == 0, done.stderr
    serial = f"{pki.certificates['rsa'].serial_number:X}"
    assert serial in done.stderr
    at = ("--received-at", "2026-07-10T10:00:00")
    good = giamdinh("verify", signed("ec", "a"), "--trust", pki.root, *at)
    assert good.returncode == 0, good.stdout
    assert "hợp lệ, chứng thư được tin cậy: toàn bộ tệp" in good.stdout
    assert "valid, certificate trusted: the whole file" in good.stdout
    assert "Bệnh viện Thử nghiệm" in good.stdout
    assert "CSKCB ec" not in good.stdout
    both = giamdinh("verify", signed("rsa", "a"), signed("revoked", "a"), "--trust", pki.root, *at)
    assert both.returncode == 1
    assert "revoked on 2026-06-30" in both.stdout
    assert giamdinh("verify", unsigned).returncode == 1
    assert giamdinh("verify", changed(out, "20260710", "20260711")).returncode == 1
    nothing = giamdinh("verify", tmp_path / "khong-co.xml")
    assert nothing.returncode == 2
    assert "There is no file" in nothing.stderr
    checked = giamdinh("check", signed("rsa", "a"), "--trust", pki.root, *at, "--format", "json")
    assert json.loads(checked.stdout)["claims"][0]["paperless_reasons"] == ["certificate-not-registered"]


# --- memory --------------------------------------------------------------------------------------------------------

MEASURE = """
import re, sys
from pathlib import Path
from claim_pipeline.signature.sign import sign
from claim_pipeline.signature.verify import verify
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
folder, key, chain, profile = Path(sys.argv[1]), *map(Path, sys.argv[2:4]), sys.argv[4]
before, big = peak(), folder / "big.xml"
sign(big, folder / "signed.xml", key, chain, profile)
assert verify(folder / "signed.xml", folder / "verified.xml").profile == profile
print(peak() - before)
"""


@BOTH
def test_a_file_of_20_mb_is_signed_and_verified_in_little_memory(
    unsigned: Path, pki: Any, tmp_path: Path, profile: str
) -> None:
    text = unsigned.read_text("utf-8")
    claim = text[text.index("<HOSO>") : text.index("</DANHSACHHOSO>")]
    count = 20_000_000 // len(claim) + 1
    (tmp_path / "big.xml").write_text(text.replace(claim, claim * count), "utf-8")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}
    words = [str(word) for word in (tmp_path, pki.key("rsa"), pki.chain("rsa"), profile)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 12 * 1024  # KiB above what the imports took; the file is 20 MB
