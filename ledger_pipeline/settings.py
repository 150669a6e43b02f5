"""Every setting of the ledger: an environment variable `LEDGER_…` each, read once, at the edge."""

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger_pipeline.errors import InvalidInput


class Settings(BaseSettings):
    """The ledger's configuration, a field a setting; `Settings.read()` reads the environment."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default=Path("data"), description="Folder of everything the ledger keeps on this machine.")
    database_url: SecretStr | None = Field(
        default=None,
        description="libpq URL of a PostgreSQL server, 15 or newer; unset: the embedded server under the home.",
    )
    cold_url: str | None = Field(default=None, description="Folder of the cold store; unset: `cold/` under the home.")
    hot_days: Annotated[int, Field(ge=1)] = Field(
        default=90, description="Days that events stay hot: a week rolls once its last instant is this old."
    )
    prune_after_days: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Days after which the daily job prunes an ended execution whose events are all cold, counted like "
        "`LEDGER_HOT_DAYS`; unset: never. Its events stay.",
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
    archive_start: date = Field(
        default=date(2020, 1, 6),
        description="Start of Dagster's weekly archive partitions; older weeks roll too.",
    )
    marts_keep_builds: Annotated[int, Field(ge=1)] = Field(
        default=3, description="Mart builds kept on disk, the current one included."
    )

    @field_validator("home", "notes_dir", "signing_key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @classmethod
    def read(cls) -> "Settings":
        """The settings of this process's environment; raises InvalidInput that names the variable."""
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = "LEDGER_" + str(first["loc"][0]).upper()
            raise InvalidInput(f"{name}: {first['msg']} (got {first['input']!r})") from None

    @property
    def cold_dir(self) -> Path:
        """Folder of the cold store's Parquet files."""
        return Path(self.cold_url).expanduser().absolute() if self.cold_url else self.home / "cold"

    @property
    def notes_folder(self) -> Path:
        """Folder of signed checkpoint notes; each ledger has its own in it."""
        return self.notes_dir or self.home / "notes"

    @property
    def signing_key(self) -> Path:
        """File of the key that signs checkpoint notes."""
        return self.signing_key_file or self.home / "keys" / "notes.pem"

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
