"""The process's settings: from the environment (`LAUNCH_JOBS_*`), else `settings.toml` in the home folder, else what
`launch connect` wrote there.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from typing_extensions import override

from launch_jobs.errors import BadInput
from launch_jobs.home import GIT_REMOTES, SOURCE_LIMIT_BYTES, connected, connection_file, home

__all__ = ["LaunchSettings", "connection_file", "home", "load_settings"]


class LaunchSettings(BaseSettings):
    """What an operator or a corporate network decides for this machine. Environment variables win over the file."""

    model_config = SettingsConfigDict(env_prefix="LAUNCH_JOBS_", frozen=True, extra="forbid")

    home: Path = Field(default_factory=home)
    store: str | None = Field(
        default=None, description="Job store URL, or block:NAME; default: the folder `store` in the home."
    )
    base_image: str | None = Field(default=None, description="Base of generated images; default: python:<minor>-slim.")
    package_index: str | None = Field(default=None, description="URL of the package index used inside builds.")
    ca_bundle: Path | None = Field(default=None, description="CA certificates (PEM) trusted inside builds and images.")
    build_network: str | None = Field(default=None, description="Network mode of builds, e.g. `host`.")
    docker_host: str | None = Field(default=None, description="Prefect DockerHost block; default: as docker finds it.")
    docker_registry: str | None = Field(
        default=None, description="Prefect DockerRegistryCredentials block to pull with."
    )
    kubernetes_credentials: str | None = Field(
        default=None, description="Prefect KubernetesCredentials block, for Kubernetes queues that name no cluster."
    )
    git_credentials: str | None = Field(default=None, description="launch-git-credentials block to reach a git host.")
    git_remotes: str = Field(
        default=GIT_REMOTES, description="Remotes to fetch from: scheme://host, scheme://*, file:///folder, …"
    )
    agent_host: str | None = Field(
        default=None, description="launch-agent-host block that fills what is left open here, when an agent starts."
    )
    source_limit_bytes: int = Field(
        default=SOURCE_LIMIT_BYTES,
        ge=1,
        description="Most bytes of source that one job carries; a single file: a fifth.",
    )
    max_jobs: int | None = Field(default=None, ge=1, description="Most runs at once on one agent of this machine.")
    adopt_grace_s: float = Field(
        default=120,
        ge=0,
        description="Seconds for which another home's agent was seen offline before its runs are taken over.",
    )
    lease_s: int = Field(
        default=15,
        ge=3,
        description="Seconds for which an agent of Kubernetes queues counts as alive after each renewal of its Lease.",
    )
    health_host: str = Field(
        default="127.0.0.1", description="Address on which `launch agent --health-port` answers; in a pod 0.0.0.0."
    )
    allow_process: bool = Field(default=False, description="Serve process queues of a server that is not on loopback.")
    port: int = Field(default=4200, ge=0, le=65535, description="Port of the embedded server; 0 takes a free one.")

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, toml_file=home() / "settings.toml")
        return (init_settings, env_settings, file, InitSettingsSource(settings_cls, connected(home())))

    @property
    def store_url(self) -> str:
        """The job store: `file://…`, `s3://…`, or `block:` and the name of a launch-job-store block."""
        return self.store or (self.home / "store").as_uri()


def load_settings() -> LaunchSettings:
    """The settings of this process.

    Raises:
        BadInput: a value is ill-typed or unknown, or the file is no TOML; the message names it.
    """
    try:
        return LaunchSettings()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{home() / 'settings.toml'} is no TOML file: {error}", do="Mend it") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            f"setting {field!r}: {first['msg']}",
            do=f"Mend LAUNCH_JOBS_{field.upper()} or {home() / 'settings.toml'}",
        ) from error
