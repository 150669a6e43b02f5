"""Every setting of the ledger: an environment variable `LEDGER_…` each, read once, at the edge."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger_pipeline.errors import InvalidInput

_BUCKET_URL = re.compile(r"s3://(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])(?P<prefix>(/[^/?#@\s]+)*)/?")


@dataclass(frozen=True)
class Bucket:
    """A cold store in object storage: the keys of a bucket below a prefix, which is empty or ends in no slash.

    Files are read from copies on this machine, in the folder `copies`.
    """

    name: str
    prefix: str
    copies: Path

    @classmethod
    def parse(cls, url: str, copies: Path) -> Self:
        """Raises ValueError for what isn't `s3://bucket/prefix`."""
        match = _BUCKET_URL.fullmatch(url)
        if match is None or {".", ".."} & set(match["prefix"].split("/")):
            raise ValueError("must be a folder or s3://bucket/prefix; credentials come from AWS's own variables")
        return cls(match["name"], match["prefix"].strip("/"), copies)

    def key(self, name: str) -> str:
        """The key of a file that is named below the cold store's root."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


ColdStore = Path | Bucket
"""Where cold files are: a folder, or object storage."""


def cold_store_at(place: str, copies: Path) -> ColdStore:
    """The folder or bucket that a setting names; raises ValueError for another kind of URL."""
    return Bucket.parse(place, copies) if "://" in place else Path(place).expanduser().absolute()


class Settings(BaseSettings):
    """The ledger's configuration, a field a setting; `Settings.read()` reads the environment."""

    model_config = SettingsConfigDict(
        env_prefix="LEDGER_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    home: Path = Field(default=Path("data"), description="Folder of everything the ledger keeps on this machine.")
    database_url: SecretStr | None = Field(
        default=None,
        description="libpq URL of a PostgreSQL server, 15 or newer; unset: the embedded server under the home.",
    )
    cold_url: str | None = Field(
        default=None,
        description="The cold store: a folder, or `s3://bucket/prefix`; unset: `cold/` under the home.",
    )
    hot_days: Annotated[int, Field(ge=1)] = Field(
        default=90, description="Days that events stay hot: a week rolls once its last instant is this old."
    )
    prune_after_days: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Days after which the daily job prunes an ended execution whose events are all cold, counted like "
        "`LEDGER_HOT_DAYS`; unset: never. Its events stay.",
    )
    retention_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Days after which a week in the cold store may be removed, counted like `LEDGER_HOT_DAYS`; unset: "
        "it is kept for ever. Nothing goes by this alone: `ledger-pipeline retention remove` removes.",
    )
    retention_removes: bool = Field(
        default=False,
        description="Whether the daily job removes what is past `LEDGER_RETENTION_DAYS`, rather than only tell of it.",
    )
    snapshot_every: Annotated[int, Field(ge=1)] = Field(
        default=10, description="Events of an execution between two state snapshots."
    )
    price_sources: str = Field(
        default="genai-prices",
        description="Comma-separated price sources of the daily sync, best first: `genai-prices` (embedded, offline), "
        "`litellm`, `models.dev`, `openrouter`; `name=URL` reads one from a mirror.",
    )
    notes_dir: Path | None = Field(
        default=None, description="Folder of signed checkpoint notes; unset: `notes/` under the home."
    )
    signing_key_file: Path | None = Field(
        default=None,
        description="Ed25519 key (PEM) that signs checkpoint notes; unset: `keys/notes.pem` under the home, made on "
        "first use.",
    )
    api_tokens_file: Path | None = Field(
        default=None,
        description="File of the HTTP API's tokens, of which it keeps hashes; unset: `keys/api-tokens.json` under the "
        "home.",
    )
    archive_start: date = Field(
        default=date(2020, 1, 6),
        description="Start of Dagster's weekly archive partitions; older weeks roll too.",
    )
    marts_keep_builds: Annotated[int, Field(ge=1)] = Field(
        default=3, description="Mart builds kept on disk, the current one included."
    )

    alert_command: str | None = Field(
        default=None,
        description="Command that is run for every Dagster run that fails, with the run as JSON on its standard input; "
        "unset: failures are in the log only.",
    )

    @field_validator("home", "notes_dir", "signing_key_file", "api_tokens_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("cold_url")
    @classmethod
    def _known_place(cls, value: str | None) -> str | None:
        if value is not None:
            cold_store_at(value, Path())
        return value

    @classmethod
    def read(cls) -> "Settings":
        """The settings of this process's environment; raises InvalidInput that names the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = "LEDGER_" + str(first["loc"][0]).upper()
            given = re.sub(r"//[^/]*@", "//…@", repr(first["input"]))  # what stands there in a URL is a password
            raise InvalidInput(f"{name}: {first['msg']} (got {given})") from None

    @property
    def cold_dir(self) -> ColdStore:
        """Where the cold store's Parquet files are."""
        return cold_store_at(self.cold_url, self.home / "cache" / "cold") if self.cold_url else self.home / "cold"

    @property
    def notes_folder(self) -> Path:
        """Folder of signed checkpoint notes; each ledger has its own in it."""
        return self.notes_dir or self.home / "notes"

    @property
    def signing_key(self) -> Path:
        """File of the key that signs checkpoint notes."""
        return self.signing_key_file or self.home / "keys" / "notes.pem"

    @property
    def api_tokens(self) -> Path:
        """File of the HTTP API's tokens."""
        return self.api_tokens_file or self.home / "keys" / "api-tokens.json"

    @property
    def verification_dir(self) -> Path:
        """Folder of what a verification that was broken off has found."""
        return self.home / "verification"

    @property
    def marts_dir(self) -> Path:
        """Folder of the mart builds and of the `current.duckdb` link."""
        return self.home / "marts"

    @property
    def prices_dir(self) -> Path:
        """Folder of the last good copy of each price source that is read over HTTP."""
        return self.home / "prices"

    @property
    def postgres_dir(self) -> Path:
        """Folder of the embedded server: its data, log, socket and locks."""
        return self.home / "postgres"
