"""Build options from the process's settings."""

from __future__ import annotations

from launch_jobs.build.plan import BuildOptions
from launch_jobs.errors import BadInput
from launch_jobs.settings import LaunchSettings


def build_options(settings: LaunchSettings, *, base_image: str | None = None) -> BuildOptions:
    """What the settings decide for builds; reads the file of certificates.

    Args:
        settings: of this process.
        base_image: the queue's base image, which comes before the settings'.

    Raises:
        BadInput: the certificates cannot be read, or the file holds none.
    """
    return BuildOptions(
        package_index=settings.package_index,
        ca_bundle_pem=_certificates(settings),
        base_image=base_image or settings.base_image,
        network=settings.build_network,
    )


def _certificates(settings: LaunchSettings) -> str | None:
    if settings.ca_bundle is None:
        return None
    try:
        text = settings.ca_bundle.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"certificates {settings.ca_bundle} cannot be read: {error}", do="Mend the setting ca_bundle"
        ) from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise BadInput(f"{settings.ca_bundle} holds no certificate", do="Name a PEM file in the setting ca_bundle")
    return text
