"""Where a distribution came from, as its installer wrote it down."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from launch_jobs.capture.probed import Installed
from launch_jobs.job import Distribution, JsonObject


def local_path(one: Installed) -> Path | None:
    """The folder or file on this machine that a distribution was installed from, if it was."""
    # conda's packages name the folder that they were built in, on a machine of conda's.
    if one.installer == "conda":
        return None
    parts = urlsplit(str((one.direct_url or {}).get("url", "")))
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def describe(one: Installed, root: Path) -> Distribution:
    """What a job says of an installed distribution: name, exact version, and where it came from."""
    name, version, direct = canonicalize_name(one.name), one.version or "", one.direct_url
    if direct is None or one.installer == "conda":
        return Distribution(name=name, version=version)
    local = local_path(one)
    if local is not None:
        inside = local.is_relative_to(root)
        url = local.relative_to(root).as_posix() if inside else local.as_uri()
        points = _entry_points(one) if inside else None
        return Distribution(
            name=name, version=version, origin="source" if inside else "url", url=url, entry_points=points
        )
    url = without_credentials(str(direct.get("url", "")))
    if isinstance(direct.get("vcs_info"), dict):
        return Distribution(name=name, version=version, origin="vcs", url=_vcs_url(url, direct))
    return Distribution(name=name, version=version, origin="url", url=url + _fragment(direct))


def _entry_points(one: Installed) -> str | None:
    """What its installer made commands and plugins of; nothing installs a package of the source tree again."""
    try:
        return (Path(one.location) / one.metadata / "entry_points.txt").read_text() or None
    except (OSError, UnicodeDecodeError):
        return None


def without_credentials(url: str) -> str:
    """The URL without user and password; the user of an ssh address is part of the address."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    keep = at and parts.scheme.endswith("ssh") and ":" not in user
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if keep else host))


def _vcs_url(url: str, direct: JsonObject) -> str:
    info = cast("JsonObject", direct["vcs_info"])
    return f"{info.get('vcs')}+{url}@{info.get('commit_id')}{_fragment(direct)}"


def _fragment(direct: JsonObject) -> str:
    """The hash and folder that pip writes after `#`."""
    archive = direct.get("archive_info")
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    parts = [f"sha256={sha256}"] if sha256 else []
    parts += [f"subdirectory={direct['subdirectory']}"] if direct.get("subdirectory") else []
    return f"#{'&'.join(parts)}" if parts else ""
