"""All settings of the product, from the environment (prefix GIAMDINH_)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One value, one environment variable: GIAMDINH_ + the name in capitals."""

    model_config = SettingsConfigDict(env_prefix="GIAMDINH_", extra="ignore")

    home: Path = Field(Path("var"), description="Folder of everything the product writes unless said otherwise")
    database_url: str = Field("", description="SQLAlchemy URL of PostgreSQL; empty: embedded PostgreSQL under home")
    inbox: Path | None = Field(None, description="Folder of the facilities' inboxes; empty: home/inbox")
    outbox: Path | None = Field(None, description="Folder of the facilities' outboxes; empty: home/outbox")
    reference: Path | None = Field(None, description="Drop folder for reference data; empty: home/reference")
    archive_url: str = Field("", description="fsspec URL of the archive; empty: home/archive")
    settle_seconds: float = Field(30.0, description="A file is whole when size and mtime stood still so long")
    poll_seconds: float = Field(2.0, description="Seconds between two looks at the inboxes")
    checksum_minutes: float = Field(60.0, description="So long a file may differ from its .sha256 until it is answered")
    intake_seconds: float = Field(
        60.0, description="After so long a run of claim_intake hands on; the next one follows"
    )
    attempts: int = Field(
        3, description="A delivery during which so many processes died is failed and answered as such"
    )
    batches_per_run: int = Field(32, description="A run of claim_appraisal takes so many batches, one of a facility")
    batch_deliveries: int = Field(50, description="At most so many deliveries of a facility go through one task")
    batch_mib: int = Field(64, description="and at most so many MiB of them, unless a single one is larger")
    max_file_mib: int = Field(8192, description="A larger delivery is too-large; 100,000 claims take 3 to 6 GB")
    max_unpacked_mib: int = Field(8192, description="A zip that unpacks to more is quarantined as too-large")
    max_claim_mib: int = Field(64, description="A delivery with a claim of more bytes is quarantined as too-large")
    max_json_mib: int = Field(128, description="A delivery with more MiB of FHIR is quarantined as too-large")
    max_claims: int = Field(200_000, description="A delivery with more claims is quarantined as too-large")

    profiles: Path | None = Field(
        None,
        description="Folder of own mapping profiles (*.yml) and facilities.yml (MA_CSKCB: profile); empty: built-in",
    )

    trust: Path | None = Field(
        None, description="PEM file or folder of root certificates and CRLs; empty: signatures are trusted by nobody"
    )
    contract: Path | None = Field(
        None, description="YAML: rules off or of other severity, options of the law, payment methods; per facility"
    )
    unmask_users: str = Field(
        "", description="Users of the system, with commas, who may see personal data in audit reports; empty: nobody"
    )
    signature_policy: Path | None = Field(
        None, description="YAML: policy and profile of signatures per facility; empty: report, any profile"
    )

    data_docs: Path | None = Field(None, description="Folder of the pages of Data Docs; empty: home/data-docs")
    data_docs_months: int = Field(24, ge=0, description="Data Docs keep so many months, the current one too; 0: all")
    data_docs_results: int = Field(
        100_000, ge=0, description="and whole months with at most so many deliveries in all, the newest always; 0: all"
    )
    data_docs_seconds: float = Field(
        300.0, description="After so long making Data Docs stops; the next time goes on from there"
    )

    sftp_host: str = Field("127.0.0.1", description="Address at which SFTP listens")
    sftp_port: int = Field(2222, description="Port at which SFTP listens")
    sftp_accounts: Path | None = Field(None, description="SFTP accounts (YAML); empty: home/sftp/accounts.yaml")
    sftp_host_key: Path | None = Field(None, description="SFTP host key, made once; empty: home/sftp/host_key")
    sftp_waiting_mib: int = Field(20480, description="SFTP takes no more from a facility while so many MiB wait")

    @property
    def inbox_folder(self) -> Path:
        return self.inbox or self.home / "inbox"

    @property
    def outbox_folder(self) -> Path:
        return self.outbox or self.home / "outbox"

    @property
    def reference_folder(self) -> Path:
        return self.reference or self.home / "reference"

    @property
    def data_docs_folder(self) -> Path:
        return self.data_docs or self.home / "data-docs"

    @property
    def archive_location(self) -> str:
        return self.archive_url or str(self.home / "archive")

    @property
    def renames_memory(self) -> Path:
        """Where the process that watches the inboxes tells the others which files came by rename."""
        return self.work_folder / "renames.json"  # the folder that all processes share

    @property
    def work_folder(self) -> Path:
        return self.home / "work"

    @property
    def sftp_accounts_file(self) -> Path:
        return self.sftp_accounts or self.home / "sftp" / "accounts.yaml"

    @property
    def sftp_host_key_file(self) -> Path:
        return self.sftp_host_key or self.home / "sftp" / "host_key"


@cache
def settings() -> Settings:
    """The settings of this process (read once; `settings.cache_clear()` reads them again)."""
    return Settings()  # type: ignore[call-arg]
