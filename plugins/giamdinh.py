"""The command line, `giamdinh …`: see `giamdinh --help`."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claim_pipeline.errors import GiamdinhError

if TYPE_CHECKING:
    from claim_pipeline.signature.trust import Trust
    from claim_pipeline.workspace import Workspace

app = typer.Typer(
    name="giamdinh",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Giám định hồ sơ BHYT trên dữ liệu điện tử. Appraises health-insurance claims on electronic data.",
)


class Form(StrEnum):
    text = "text"
    json = "json"
    html = "html"
    xlsx = "xlsx"


class Target(StrEnum):
    d130 = "130"
    d4750 = "4750"
    d3176 = "3176"


class AuditForm(StrEnum):
    html = "html"
    xlsx = "xlsx"
    json = "json"


class Profile(StrEnum):
    a = "a"
    b = "b"


def _say(message_vi: str, message_en: str) -> None:
    typer.echo(f"{message_vi}\n{message_en}", err=True)


def _tell(error: GiamdinhError) -> None:
    from claim_rules.catalogue import sentences

    _say(
        f"Lỗi {error.code}: {sentences(error.message_vi, error.next_vi)}",
        f"Error {error.code}: {sentences(error.message_en, error.next_en)}",
    )


def _folder(path: Path | None) -> None:
    if path is not None and not path.is_dir():
        _say(f"Không có thư mục {path}.", f"There is no folder {path}.")
        raise typer.Exit(2)


def _files(*paths: Path) -> None:
    """Stops before any work where one of the files to read is not there or is a folder."""
    for path in paths:
        if path.is_dir():
            _say(f"{path} là thư mục, không phải tệp.", f"{path} is a folder, not a file.")
        elif not path.exists():
            _say(f"Không có tệp {path}.", f"There is no file {path}.")
        else:
            continue
        raise typer.Exit(2)


def _out(path: Path | None) -> None:
    """Stops before any work where a file to write has no place."""
    if path is not None:
        _folder(path.parent)
        if path.is_dir():
            _say(f"{path} là thư mục, không ghi tệp vào đó được.", f"{path} is a folder, no file can be written there.")
            raise typer.Exit(2)


def _moment(text: str | None, option: str = "--received-at") -> datetime | None:
    if text is None:
        return None
    from claim_pipeline.steps import TIME_ZONE

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _say(
            f"{option} không đúng dạng ISO 8601, ví dụ 2026-07-15T23:59:00+07:00.",
            f"{option} is not a time in ISO 8601, such as 2026-07-15T23:59:00+07:00.",
        )
        raise typer.Exit(2) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=TIME_ZONE)


def _schema_faults(ws: Workspace) -> dict[str, Any]:
    """What the XML Schemas say of a delivery that was read; nothing is known (None) of one that was quarantined."""
    from claim_pipeline import schema

    if ws.delivery.status == "quarantined":
        return {"schema_fault_count": None, "schema_faults": None}
    keys = [None if key != key else str(key) for key in ws.read_frame("claims")["MA_LK"]]
    return schema.in_report(schema.judge_workspace(ws), keys)


def _tell_schema_faults(told: dict[str, Any], reports: list[str] | None) -> None:
    """Adds the faults to the report for a terminal; beside a report of another form only their number is said."""
    from claim_pipeline import schema

    count = told["schema_fault_count"]
    if reports is not None and count is not None:
        reports.append(schema.as_text(told))
    elif count is not None:
        _say(f"Lỗi so với lược đồ XSD: {count}.", f"Faults against the XML Schemas: {count}.")


_TRUST_HELP = "Chứng thư gốc tin cậy và CRL (tệp PEM hoặc thư mục) · trust anchors and CRLs"


def _anchors(path: Path | None) -> Trust | None:
    from claim_pipeline.signature.trust import load

    return load(path) if path is not None else None


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Tệp gửi đi · deliveries to check")],
    reference: Annotated[Path | None, typer.Option(help="Thư mục danh mục (CSV, xlsx) · reference data")] = None,
    trust: Annotated[Path | None, typer.Option(help=_TRUST_HELP)] = None,
    received_at: Annotated[str | None, typer.Option(help="Thời điểm nhận, ISO 8601 · time of receipt")] = None,
    form: Annotated[Form, typer.Option("--format", help="Dạng báo cáo · form of the report")] = Form.text,
    out: Annotated[Path | None, typer.Option(help="Ghi báo cáo vào · write the report to")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="So cả với lược đồ XSD · the XML Schemas too")] = False,
) -> None:
    """Kiểm tra tệp trước khi gửi. Checks files before they are sent.

    Exit: 0 nothing refused, 1 something is, 2 quarantined."""
    if form is Form.xlsx and (out is None or len(files) > 1):
        _say("Dạng xlsx cần --out và một tệp.", "Form xlsx needs --out and a single file.")
        raise typer.Exit(2)
    if form is Form.html and len(files) > 1:
        _say("Dạng html chỉ cho một tệp.", "Form html is for a single file.")
        raise typer.Exit(2)
    _files(*files)
    _out(out)
    from claim_pipeline import steps
    from claim_pipeline.reference import read_folder, source_hashes

    moment = _moment(received_at)
    _folder(reference)
    worst = 0
    reports: list[str] = []
    try:
        known = read_folder(reference) if reference is not None else {}
        hashes = source_hashes(reference) if reference is not None else None
        anchors = _anchors(trust)
        for file in files:
            with steps.check(file, known, moment, anchors, hashes) as checked:
                worst = max(worst, checked.exit_code)
                text = checked.ws.report.read_text("utf-8")
                told = _schema_faults(checked.ws) if schema else None
                if form is Form.json:
                    if told is not None:
                        text = json.dumps(json.loads(text) | told, ensure_ascii=False, indent=1)
                    reports.append(text.rstrip())
                else:
                    from claim_pipeline import respond

                    report = json.loads(text)
                    if form is Form.xlsx and out is not None:
                        respond.render_xlsx(report, out)
                    else:
                        reports.append(
                            respond.render_html(report) if form is Form.html else respond.render_text(report)
                        )
                    if told is not None:
                        _tell_schema_faults(told, reports if form is Form.text else None)
    except FileNotFoundError as error:
        _say(f"Không có tệp {error.filename}.", f"There is no file {error.filename}.")
        raise typer.Exit(2) from None
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    whole = f"[{','.join(reports)}]" if form is Form.json and len(files) > 1 else "\n".join(reports)
    if out is not None and form is not Form.xlsx:
        out.write_text(whole + "\n", "utf-8")
    elif form is not Form.xlsx:
        typer.echo(whole)
    raise typer.Exit(worst)


@app.command()
def run(
    inbox: Annotated[Path, typer.Option(help="Thư mục inbox · inboxes")],
    outbox: Annotated[Path, typer.Option(help="Thư mục outbox · outboxes")],
    reference: Annotated[Path | None, typer.Option(help="Thư mục danh mục · reference data to load first")] = None,
) -> None:
    """Xử lý mọi tệp trong inbox, không cần Airflow. The whole pipeline into the configured database."""
    _folder(inbox)
    _folder(reference)
    os.environ["GIAMDINH_INBOX"] = str(inbox.resolve())
    os.environ["GIAMDINH_OUTBOX"] = str(outbox.resolve())
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from claim_pipeline import steps
    from claim_pipeline.settings import settings

    settings.cache_clear()
    actor = f"giamdinh run ({os.environ.get('USER') or 'operator'})"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        if reference is not None:
            steps.load_reference_folder(actor, reference)
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("Giám định · appraising", total=None)

            def show(label: str, done: int, total: int) -> None:
                bar.update(task, description=label, completed=done, total=total)

            counts = steps.run_all(actor, show)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    typer.echo(
        "Nhận {received}, trả lời {answered}, cách ly {quarantined}, lỗi hệ thống {failed}\n"
        "received {received}, answered {answered}, quarantined {quarantined}, failed {failed}".format(**counts)
    )
    raise typer.Exit(1 if counts["failed"] else 0)


@app.command()
def reappraise(
    month: Annotated[str, typer.Option(help="Tháng ra viện yyyymm (NGAY_RA) · month of discharge")],
    facility: Annotated[str | None, typer.Option(help="Mã CSKCB; không nêu: mọi cơ sở · facility; else all")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Chỉ báo cáo, không ghi gì · report only, write nothing")
    ] = False,
    reference: Annotated[
        Path | None, typer.Option(help="Danh mục giả định, chỉ với --dry-run · reference data to suppose")
    ] = None,
    law: Annotated[
        Path | None, typer.Option(help="Giá trị luật giả định (YAML), chỉ với --dry-run · values of the law to suppose")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Thư mục báo cáo chênh lệch · folder of the report")] = None,
) -> None:
    """Giám định lại hồ sơ của một tháng theo bộ quy tắc và danh mục hiện hành. Appraises a month again.

    The difference report is written before anything else. Exit: 0 done, 1 some deliveries could not be done, 2 an
    option or file is wrong."""
    _folder(reference)
    if (reference is not None or law is not None) and not dry_run:
        _say(
            "--reference và --law chỉ dùng cùng --dry-run. Danh mục mới: nạp vào cơ sở dữ liệu trước.",
            "--reference and --law go with --dry-run only. New reference data: load them into the database first.",
        )
        raise typer.Exit(2)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from claim_pipeline import respond, steps

    actor = f"giamdinh reappraise ({os.environ.get('USER') or 'operator'})"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        work = steps.reappraisal(month, facility, reference, law)
        deliveries = [delivery for batch in work.batches() for delivery in batch["deliveries"]]
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("Giám định lại · appraising again", total=len(deliveries))
            counts = work.compare(deliveries, lambda: bar.advance(task))
        report = work.report(deliveries, dry_run=dry_run)
        folder = out or steps.difference_folder(report)
        respond.write_difference(report, folder)
        written = {"changed": 0, "failed": 0, "busy": 0} if dry_run else work.write(deliveries, actor)
        answered = 0 if dry_run else steps.answer_again(actor)
        if not (counts["failed"] or written["failed"] or written["busy"]):
            work.done()
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    typer.echo(respond.difference_text(report))
    typer.echo(f"{folder / respond.DIFFERENCE_PAGE}")
    if not dry_run:
        _say(
            f"Đã ghi {written['changed']} lần giám định mới, trả lời {answered}; lô đang bận {written['busy']}.",
            f"Recorded {written['changed']} new appraisals, answered {answered}; busy deliveries {written['busy']}.",
        )
    raise typer.Exit(1 if counts["failed"] or written["failed"] or written["busy"] else 0)


@app.command()
def appraise(
    as_of: Annotated[str, typer.Option(help="Ngày hoặc thời điểm ISO 8601 · day or moment")],
    delivery: Annotated[int | None, typer.Option(help="Số của lô gửi · number of the delivery")] = None,
    facility: Annotated[str | None, typer.Option(help="Mã CSKCB, cùng --claim · facility, with --claim")] = None,
    claim: Annotated[str | None, typer.Option(help="MA_LK, cùng --facility · with --facility")] = None,
    form: Annotated[Form, typer.Option("--format", help="text hoặc json · text or json")] = Form.text,
) -> None:
    """Tái lập kết quả giám định có hiệu lực vào một ngày và so từng bit. Reproduces the outcome that stood on a day.

    From the archived bytes, with reference data, other claims, contract and signature as known then. Exit: 0 bit for
    bit the same, 1 not, 2 there is none, or what it needs was not kept."""
    if (delivery is None) == (facility is None or claim is None) or form not in (Form.text, Form.json):
        _say(
            "Cần --delivery, hoặc --facility cùng --claim; --format text hoặc json.",
            "Give --delivery, or --facility with --claim; --format text or json.",
        )
        raise typer.Exit(2)
    from claim_pipeline import steps

    moment = _moment(as_of, "--as-of")
    if moment is None:
        raise typer.Exit(2)
    if len(as_of) <= len("2026-07-15"):
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    try:
        found = steps.reproduce(moment, delivery=delivery, facility=facility, claim=claim)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    if form is Form.json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=1))
    else:
        typer.echo(found.text())
    raise typer.Exit(0 if found.same else 1)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Thư mục kết quả · folder to write")],
    facilities: Annotated[int, typer.Option(min=1, help="Số cơ sở · facilities")] = 6,
    claims: Annotated[int, typer.Option(min=1, help="Số hồ sơ mỗi cơ sở · claims of each")] = 200,
    month: Annotated[str, typer.Option(help="Tháng yyyymm · month")] = "202607",
    fault_rate: Annotated[float, typer.Option(min=0, max=1, help="Tỷ lệ hồ sơ có lỗi · share with a fault")] = 0.1,
    seed: Annotated[int, typer.Option(help="Hạt giống ngẫu nhiên · random seed")] = 1,
    drift: Annotated[
        list[str] | None,
        typer.Option(
            help="Tháng bất thường, ví dụ 27002:price=1.3,stay=1.5 (price, stay, antibiotics, emergency) · "
            "an unusual month of a facility"
        ),
    ] = None,
    across: Annotated[
        bool,
        typer.Option(
            "--across",
            help="Thêm lỗi giữa nhiều hồ sơ, chữ ký, cả lô; ca sát ngưỡng · faults beyond single claims; near misses",
        ),
    ] = False,
) -> None:
    """Tạo dữ liệu bệnh viện giả lập. Simulated hospitals: inboxes, reference data, truth about planted faults."""
    from claim_simulator import Drift
    from claim_simulator import simulate as make

    try:
        planted = {
            code: Drift(**{name: float(factor) for name, factor in (part.split("=") for part in parts.split(","))})
            for code, parts in (one.split(":") for one in drift or ())
        }
    except (TypeError, ValueError):
        raise typer.BadParameter("27002:price=1.3,stay=1.5", param_hint="--drift") from None
    try:
        summary = make(
            facilities=facilities,
            claims=claims,
            month=month,
            fault_rate=fault_rate,
            seed=seed,
            out=out,
            drift=planted,
            across=across,
        )
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    typer.echo(str(summary), err=True)


@app.command()
def rules(
    rule: Annotated[str | None, typer.Argument(help="Mã quy tắc, ví dụ CARD-008 · rule id")] = None,
    docs: Annotated[Path | None, typer.Option(help="Ghi các trang vào thư mục này · writes the pages there")] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Số ví dụ của từng quy tắc · how many cases each rule has")
    ] = False,
) -> None:
    """Bộ quy tắc giám định, hoặc một quy tắc với các ví dụ. The rule book, or one rule with its cases."""
    from claim_rules import book

    if docs is not None:
        for name, page in book.documents().items():
            (docs / name).parent.mkdir(parents=True, exist_ok=True)
            (docs / name).write_text(page, "utf-8")
        return
    if coverage:
        typer.echo(book.coverage())
        return
    text = book.one(rule.upper()) if rule else book.all_rules()
    if text is None:
        _say(f"Không có quy tắc {rule}.", f"There is no rule {rule}.")
        raise typer.Exit(2)
    typer.echo(text)


@app.command()
def sign(
    file: Annotated[Path, typer.Argument(help="Tệp XML hồ sơ · claim XML")],
    key: Annotated[Path, typer.Option(help="Khóa riêng (PEM, không mật khẩu) · private key")],
    cert: Annotated[Path, typer.Option(help="Chứng thư (PEM), rồi chứng thư của nơi cấp · certificate, then its CAs")],
    out: Annotated[Path, typer.Option(help="Ghi tệp đã ký vào · write the signed file to")],
    profile: Annotated[Profile, typer.Option(help="a: cả tệp; b: THONGTINHOSO và thời điểm ký · what is signed")] = (
        Profile.a
    ),
) -> None:
    """Ký số tệp hồ sơ trong CHUKYDONVI. Signs claim XML inside CHUKYDONVI (XMLDSig, SHA-256, RSA or ECDSA)."""
    from claim_pipeline.signature.sign import sign as make

    _files(file, key, cert)
    _out(out)
    try:
        certificate = make(file, out, key, cert, profile.value)
    except FileNotFoundError as error:
        _say(f"Không có tệp {error.filename}.", f"There is no file {error.filename}.")
        raise typer.Exit(2) from None
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    _say(
        f"Đã ký {out.name} bằng chứng thư {certificate.serial_number:X}.",
        f"Signed {out.name} with certificate {certificate.serial_number:X}.",
    )


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="Tệp đã ký · signed files")],
    trust: Annotated[Path | None, typer.Option(help=_TRUST_HELP)] = None,
    received_at: Annotated[str | None, typer.Option(help="Thời điểm nhận, ISO 8601 · time of receipt")] = None,
) -> None:
    """Kiểm tra chữ ký số. Verifies signatures.

    Exit: 0 everything verifies, 1 something does not, 2 a file or the trust anchors cannot be read."""
    from claim_pipeline import signature

    moment = _moment(received_at)
    _files(*files)
    good = True
    try:
        anchors = _anchors(trust) or signature.configured()
        for file in files:
            told = signature.describe(file, anchors, moment)
            good &= told.good
            typer.echo(f"{file.name}: {told.vi}\n{file.name}: {told.en}")
    except FileNotFoundError as error:
        _say(f"Không có tệp {error.filename}.", f"There is no file {error.filename}.")
        raise typer.Exit(2) from None
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if good else 1)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="Tệp cần chuyển · delivery to convert")],
    to: Annotated[Target, typer.Option(help="Quyết định · decision whose layout is wanted")],
    out: Annotated[Path, typer.Option(help="Ghi tệp XML vào · write the claim XML to")],
    one_per_file: Annotated[
        bool, typer.Option("--one-per-file", help="Mỗi hồ sơ một tệp trong thư mục --out · one file per claim in --out")
    ] = False,
) -> None:
    """Chuyển hồ sơ sang cấu trúc của Quyết định khác. Writes a delivery in the layout of another decision.

    What the layout cannot hold is listed on standard error. Exit: 0 written, 2 the file cannot be read."""
    from claim_pipeline.convert import convert as make

    _files(file)
    if not one_per_file:
        _out(out)
    try:
        losses = make(file, to.value, out, one_per_file=one_per_file)
    except FileNotFoundError:
        _say(f"Không có tệp {file.name}.", f"There is no file {file.name}.")
        raise typer.Exit(2) from None
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    for message_vi, message_en in losses:
        _say(message_vi, message_en)


sftp = typer.Typer(help="Cửa SFTP cho các cơ sở. The SFTP server for facilities.", invoke_without_command=True)
app.add_typer(sftp, name="sftp")


@sftp.callback()
def sftp_serve(context: typer.Context) -> None:
    """Chạy máy chủ SFTP ở đây cho đến khi dừng. Serves SFTP in the foreground until it is stopped."""
    if context.invoked_subcommand is not None:
        return
    from claim_pipeline.settings import settings
    from claim_pipeline.sftp import server

    known = settings()
    logging.getLogger("claim_pipeline.sftp").setLevel(logging.INFO)

    def ready(port: int, fingerprint: str) -> None:
        _say(
            f"SFTP đang chạy: sftp -P {port} <mã CSKCB>@{known.sftp_host}. Khóa máy chủ: {fingerprint}",
            f"SFTP listens: sftp -P {port} <facility code>@{known.sftp_host}. Host key: {fingerprint}",
        )

    try:
        server.serve(known, ready)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None


@sftp.command("add")
def sftp_add(
    facility: Annotated[str, typer.Argument(help="Mã CSKCB · facility code")],
    key: Annotated[list[Path] | None, typer.Option(help="Tệp khóa công khai OpenSSH · public key file")] = None,
) -> None:
    """Tạo tài khoản, hoặc đổi mật khẩu, hoặc thêm khóa. Makes an account, or gives it a new password or another key.

    Without --key: makes a password and prints it, this once."""
    import secrets

    from claim_pipeline.settings import settings
    from claim_pipeline.sftp.accounts import Accounts, public_key

    password = None if key else secrets.token_urlsafe(15)
    try:
        keys = tuple(public_key(path) for path in key or ())
        Accounts(settings().sftp_accounts_file).put(facility, password=password, keys=keys)
    except FileNotFoundError as error:
        _say(f"Không có tệp {error.filename}.", f"There is no file {error.filename}.")
        raise typer.Exit(2) from None
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    if password is None:
        _say(f"Đã thêm khóa cho {facility}.", f"Keys added for {facility}.")
        return
    _say(
        f"Mật khẩu mới của {facility}; chỉ hiện một lần này:",
        f"The new password of {facility}; it is shown this once:",
    )
    typer.echo(password)


@sftp.command("remove")
def sftp_remove(facility: Annotated[str, typer.Argument(help="Mã CSKCB · facility code")]) -> None:
    """Bỏ tài khoản. Removes an account; its files stay."""
    from claim_pipeline.settings import settings
    from claim_pipeline.sftp.accounts import Accounts

    try:
        found = Accounts(settings().sftp_accounts_file).remove(facility)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    if not found:
        _say(f"Không có tài khoản {facility}.", f"There is no account {facility}.")
        raise typer.Exit(2)


@sftp.command("list")
def sftp_list() -> None:
    """Các tài khoản. The accounts: facility, whether it has a password, number of keys."""
    from claim_pipeline.settings import settings
    from claim_pipeline.sftp.accounts import Accounts

    try:
        known = Accounts(settings().sftp_accounts_file).all()
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    for facility, account in sorted(known.items()):
        typer.echo(f"{facility}\t{'mật khẩu · password' if account.password else '—'}\t{len(account.keys)}")


docs = typer.Typer(help="Trang Data Docs về kết quả kiểm tra dữ liệu. Data Docs: what the checks of data found.")
app.add_typer(docs, name="docs")


@docs.command("build")
def docs_build(
    month: Annotated[str | None, typer.Option(help="Lập lại một tháng, yyyymm · make a month anew")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Lập lại tất cả · make all pages anew")] = False,
) -> None:
    """Lập trang Data Docs. Makes pages of Data Docs: those that are still to be made, or a month's or all anew.

    Exit: 0 made, 1 some could not be made, 2 nothing could."""
    from claim_pipeline import steps
    from claim_pipeline.settings import settings

    if month is not None and not re.fullmatch("[0-9]{4}(0[1-9]|1[0-2])", month):
        raise typer.BadParameter("yyyymm", param_hint="--month")
    try:
        wanted = steps.to_document(month) if everything or month is not None else []
        counts = steps.document(wanted)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    typer.echo(
        "Data Docs: đã lập {made}, không có gì để lập {without}, lỗi {failed}\n"
        "Data Docs: made {made}, without anything to show {without}, failed {failed}".format(**counts)
    )
    typer.echo(str(settings().data_docs_folder / "index.html"))
    raise typer.Exit(_exit(counts["failed"], done=counts["made"] + counts["without"]))


def _exit(failed: int, *, done: int) -> int:
    """0 all done, 1 some failed, 2 all did."""
    return 0 if not failed else 1 if done else 2


history = typer.Typer(help="Hồ sơ khác trong kho. Other claims in the store, for the rules that compare claims.")
app.add_typer(history, name="history")


@history.callback()
def _history() -> None:
    """Keeps `rebuild` a command of its own name."""


@history.command("rebuild")
def history_rebuild(
    appraise: Annotated[
        bool,
        typer.Option("--appraise", help="Giám định lại ngay các lô bị ảnh hưởng · appraise what it affects now"),
    ] = False,
    at_most: Annotated[int | None, typer.Option(min=1, help="Số lô tối đa lần này · deliveries at most")] = None,
) -> None:
    """Bổ sung bảng visit cho hồ sơ do bản cũ ghi. Fills the visit tables for claims that an older version recorded.

    From the archived bytes, delivery by delivery; may be stopped and run again. What looks otherwise beside these
    claims is appraised again by the next run of the pipeline, or at once with --appraise. Exit: 0 done, 1 some could
    not be done or are left, 2 nothing could."""
    from rich.console import Console
    from rich.progress import Progress

    from claim_pipeline import steps

    try:
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task("visit", total=None)
            counts = steps.rebuild_history(
                f"giamdinh history ({os.environ.get('USER') or 'operator'})",
                appraise=appraise,
                at_most=at_most,
                progress=lambda done, of: bar.update(task, completed=done, total=of),
            )
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    typer.echo(
        "Đã bổ sung {claims} hồ sơ của {deliveries} lô; không được {failed}, đang bận {busy}, còn lại {left}\n"
        "Added {claims} claims of {deliveries} deliveries; failed {failed}, busy {busy}, left {left}".format(**counts)
    )
    if counts["affected"]:
        typer.echo(
            "{affected} lô bị ảnh hưởng chờ giám định lại: lần chạy tới làm, hoặc chạy lại với --appraise\n"
            "{affected} deliveries that these affect wait to be appraised again: by the next run, or with --appraise"
            "".format(**counts)
        )
    left = counts["busy"] or counts["left"] or (appraise and counts["affected"])
    raise typer.Exit(_exit(counts["failed"], done=counts["deliveries"]) or int(bool(left)))


reference_data = typer.Typer(help="Danh mục trong cơ sở dữ liệu. Reference data in the database.")
app.add_typer(reference_data, name="reference")
_KNOWN_AT = "Như đã biết lúc đó, ISO 8601 · as known then"


@reference_data.command("load")
def reference_load(
    place: Annotated[Path, typer.Argument(help="Tệp hoặc thư mục · file or folder", exists=True)],
    valid_from: Annotated[
        str | None,
        typer.Option(help="Ngày bắt đầu (yyyy-mm-dd) của phụ lục ICD-10 không ghi ngày · first day of an ICD-10 annex"),
    ] = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Danh mục thực sự trống · the table really is empty: it may replace rows")
    ] = False,
) -> None:
    """Nạp danh mục. Loads reference data; a report of each file is written into reports/ beside them.

    Exit: 0 all loaded, 2 a file was refused (the others are loaded)."""
    try:
        first = datetime.strptime(valid_from, "%Y-%m-%d").strftime("%Y%m%d") if valid_from else None
    except ValueError:
        raise typer.BadParameter("yyyy-mm-dd", param_hint="--valid-from") from None
    from claim_pipeline import steps

    actor = f"giamdinh reference load ({os.environ.get('USER') or 'operator'})"
    try:
        loaded = steps.load_reference_folder(actor, place, first, empty=empty)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    for name, rows in sorted(loaded.items()):
        typer.echo(f"{name}\t{rows}")


@reference_data.command("list")
def reference_list(known_at: Annotated[str | None, typer.Option(help=_KNOWN_AT)] = None) -> None:
    """Danh mục đang dùng. Tables in force: rows, since when, by whom, sha256, file."""
    from claim_pipeline import steps

    try:
        tables = steps.reference_tables(_moment(known_at, "--known-at"))
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    for name, load in tables.items():
        since = load["loaded_at"].isoformat()
        told = (name, load["rows"], since, load["actor"], load["sha256"] or "-", load["file"] or "-")
        typer.echo("\t".join(map(str, told)))


@reference_data.command("history")
def reference_loads(
    name: Annotated[str, typer.Argument(help="Danh mục, ví dụ drugs · table")],
    known_at: Annotated[str | None, typer.Option(help=_KNOWN_AT)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Ghi lại báo cáo mới nhất vào thư mục · folder for the newest report")
    ] = None,
) -> None:
    """Các lần nạp của một danh mục, mới nhất trước. Loads of a table and refused files, newest first.

    Columns: when, loaded or refused, rows, new, ended, changed, rows refused, warnings, overlaps, gaps, by, sha256,
    folder of its report. --out writes the newest report again."""
    from claim_pipeline import respond, steps

    try:
        records = steps.reference_history(name, _moment(known_at, "--known-at"))
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    if not records:
        _say(f"Chưa nạp danh mục {name}.", f"{name} was not loaded.")
        raise typer.Exit(2)
    for record in records:
        document = record["document"]
        counts = {key: "-" if value is None else value for key, value in document["counts"].items()}
        told = (
            record["since"].isoformat(), document["status"], "-" if record["rows"] is None else record["rows"],
            f"+{record['added'] or 0}", f"-{record['ended'] or 0}", f"~{counts['changed_items']}",
            counts["refused_rows"], counts["warned"], counts["overlaps"] + counts["price_overlaps"], counts["gaps"],
            record["actor"], record["sha256"] or "-", f"reports/{record['folder']}",
        )  # fmt: skip
        typer.echo("\t".join(map(str, told)))
        if document["error"]:
            typer.echo(f"\t{document['error']['vi']} / {document['error']['en']}")
    if out is not None:
        respond.write_reference_report(records[0]["document"], out)
        typer.echo(str(out / respond.PAGE))


profile = typer.Typer(help="Mẫu ánh xạ tệp xuất của phần mềm bệnh viện. Mapping profiles of record systems.")
app.add_typer(profile, name="profile")


@profile.command("try")
def profile_try(
    file: Annotated[Path, typer.Argument(help="Tệp xuất · export to look at")],
    name: Annotated[str | None, typer.Option("--profile", help="Tên mẫu ánh xạ · name of the profile")] = None,
) -> None:
    """Xem mẫu ánh xạ đọc tệp ra sao. Shows what a profile makes of a file, without personal data.

    Exit: 0 it can be read, 2 it cannot."""
    from claim_pipeline.extract.preview import preview
    from claim_pipeline.extract.profile import configured
    from claim_pipeline.settings import settings

    _files(file)
    known = settings()
    try:
        text, good = preview(file, configured(known.profiles), name, known.max_unpacked_mib << 20)
    except FileNotFoundError:
        _say(f"Không có tệp {file.name}.", f"There is no file {file.name}.")
        raise typer.Exit(2) from None
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    typer.echo(text)
    raise typer.Exit(0 if good else 2)


@profile.command("list")
def profile_list() -> None:
    """Các mẫu ánh xạ đang có. The profiles that there are, and who is set to them."""
    from claim_pipeline.extract.preview import listed
    from claim_pipeline.extract.profile import configured
    from claim_pipeline.settings import settings

    try:
        for line in listed(configured(settings().profiles)):
            typer.echo(line)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None


@app.command()
def expectations(
    out: Annotated[
        Path | None, typer.Option(help="Ghi các bộ kỳ vọng (YAML) vào · folder to write the suites to")
    ] = None,
) -> None:
    """Các kỳ vọng về dữ liệu, số lượng theo bảng. What is expected of each claim table, and how many of it."""
    from claim_rules.expectations import suites

    if out is not None:
        for name, text in suites.texts():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, "utf-8")
    typer.echo(suites.counts_text())


@app.command()
def statistics(
    facility: Annotated[str | None, typer.Option(help="Mã CSKCB · facility code")] = None,
    month: Annotated[str | None, typer.Option(help="Tháng ra viện yyyymm · month of discharge")] = None,
    out: Annotated[Path | None, typer.Option(help="Thư mục kết quả (HTML, xlsx, JSON) · folder to write to")] = None,
) -> None:
    """Thống kê cơ sở - tháng và điều bất thường (STAT). Statistics of a facility-month and what is unusual.

    Without both options: a list. Exit: 0 no warnings, 1 warnings, 2 there is no such facility-month."""
    from claim_pipeline import steps

    try:
        counts = steps.update_statistics()
        if facility is None or month is None:
            for one in steps.statistics_months(facility):
                if month in (None, one["month"]):
                    typer.echo(f"{one['facility']}  {one['month']}  {one['visits']}  STAT: {one['warnings']}")
            raise typer.Exit(1 if counts["failed"] else 0)
        folder = out or Path()
        told = steps.write_statistics(facility, month, folder)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    for message_vi, message_en in told:
        typer.echo(f"{message_vi}\n{message_en}")
    _say(
        f"Đã ghi thống kê vào {folder}; cảnh báo: {len(told)}.",
        f"The statistics are in {folder}; warnings: {len(told)}.",
    )
    raise typer.Exit(1 if told else 0)


class Table(StrEnum):
    text = "text"
    json = "json"


_MONTH = r"[0-9]{4}(0[1-9]|1[0-2])"
_FACILITY_HELP = "Mã CSKCB · facility code"
_MONTH_HELP = "Tháng ra viện, yyyymm · month of NGAY_RA"


def _month(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(_MONTH, text):
        raise typer.BadParameter("yyyymm")
    return text


@app.command()
def validation(
    facility: Annotated[str | None, typer.Option(help=_FACILITY_HELP)] = None,
    month: Annotated[str | None, typer.Option(help=_MONTH_HELP)] = None,
    table: Annotated[str | None, typer.Option(help="Bảng, ví dụ XML3 · claim table")] = None,
    field: Annotated[str | None, typer.Option(help="Trường, ví dụ MA_BAC_SI · field")] = None,
    form: Annotated[Table, typer.Option("--format", help="Dạng · form")] = Table.text,
    limit: Annotated[int, typer.Option(min=1, help="Số kỳ vọng tối đa · expectations at most")] = 50,
) -> None:
    """Kết quả kiểm tra dữ liệu đã ghi: kỳ vọng không đạt và xu hướng. Recorded results of validation."""
    from claim_pipeline.audit import listing
    from claim_pipeline.store import open_store

    asked = {"facility": facility, "month": _month(month), "table": table, "field": field}
    try:
        told = listing.of(open_store(), limit=limit, **asked)
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None
    if form is Table.json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        listing.show(told)


@app.command()
def audit(
    delivery: Annotated[int | None, typer.Option(help="Số lô gửi · number of a delivery")] = None,
    facility: Annotated[str | None, typer.Option(help=_FACILITY_HELP)] = None,
    month: Annotated[str | None, typer.Option(help=_MONTH_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="Thư mục ghi báo cáo · folder to write the report to")] = None,
    form: Annotated[list[AuditForm] | None, typer.Option("--format", help="html, xlsx, json · may be repeated")] = None,
    unmask: Annotated[bool, typer.Option("--unmask", help="Không che dữ liệu cá nhân · show personal data")] = False,
    reason: Annotated[str, typer.Option(help="Lý do xem dữ liệu cá nhân · why personal data must be seen")] = "",
) -> None:
    """Báo cáo kiểm toán của một lô gửi, hoặc của một cơ sở trong một tháng. The auditor's report.

    Without --out one form (html or json) goes to standard output. Exit: 0 written, 2 it cannot be."""
    from claim_pipeline import audit as reports
    from claim_pipeline.store import Scope, open_store

    if (delivery is None) == (facility is None or month is None) or (delivery is not None and (facility or month)):
        _say("Cần --delivery, hoặc --facility và --month.", "Give --delivery, or --facility and --month.")
        raise typer.Exit(2)
    forms = [one.value for one in form or [AuditForm.html]]
    if out is None and forms not in (["html"], ["json"]):
        _say("Dạng xlsx, hoặc nhiều dạng, cần --out.", "Form xlsx, or several forms, need --out.")
        raise typer.Exit(2)
    scope = Scope(delivery=delivery, facility=facility, month=_month(month))
    try:
        store = open_store()
        report = reports.of(store, scope, reports.system_viewer(), unmask=unmask, reason=reason)
        if out is None:
            page = (reports.render_html(store, report),) if forms == ["html"] else reports.as_json(store, report)
            for part in page:
                typer.echo(part, nl=False)
            return
        out.mkdir(parents=True, exist_ok=True)
        for one in forms:
            path = out / reports.file_name(report, one)
            reports.write(store, report, one, path)
            _say(f"Đã ghi {path}.", f"Written: {path}.")
    except GiamdinhError as error:
        _tell(error)
        raise typer.Exit(2) from None


def _not_built(name: str) -> None:
    _say(f"Lệnh {name} chưa có ở phiên bản này.", f"The command {name} is not built yet.")
    raise typer.Exit(2)


_LATER = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(context_settings=_LATER, hidden=True)
def trace() -> None:
    """Not built yet."""
    _not_built("trace")


def main() -> None:
    """Entry point of the `giamdinh` command."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _say(
            f"Không đọc hoặc ghi được tệp{place}: {error.strerror}.",
            f"A file could not be read or written{place}: {error.strerror}.",
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
