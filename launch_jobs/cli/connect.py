"""`connect`: use a Prefect server and a job store elsewhere."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO, TypedDict, Unpack

import click

from launch_jobs.cli.output import emit, facts, json_option, next_command, progress, warn
from launch_jobs.cli.session import local_session, quieten, wait
from launch_jobs.errors import BadInput, NotFound, Refused

if TYPE_CHECKING:
    from launch_jobs.local.connection import Connection
    from launch_jobs.local.remote import Credential
    from launch_jobs.settings import LaunchSettings

_DEFAULT_STORE = "block:default"


class _Given(TypedDict):
    store: str | None
    auth_file: TextIO | None
    allow_no_auth: bool


@click.command("connect")
@click.argument("url", required=False)
@click.option("--store", metavar="URL", help="Job store that goes with it: s3://…, file://… or block:NAME.")
@click.option("--auth-file", type=click.File("r"), help="Holds user:password; - reads it from stdin.")
@click.option("--allow-no-auth", is_flag=True, help="Use a server on the network that lets everybody in.")
@click.option("--forget", is_flag=True, help="Part from the server; `launch up` starts an embedded one again.")
@json_option
def connect_command(url: str | None, forget: bool, as_json: bool, **given: Unpack[_Given]) -> None:
    """Use a Prefect server and a job store elsewhere.

    The credential comes from --auth-file, else PREFECT_API_AUTH_STRING, else it is asked for; never from an argument.
    Without --store the server's launch-job-store block `default` is taken, if there is one.
    """
    if forget != (url is None):
        raise click.UsageError("Name a server URL, or --forget", click.get_current_context())
    if url is None:
        _part(as_json=as_json)
        return
    settings = local_session().settings
    to, version = _greet(settings, url, given["auth_file"], allow_no_auth=given["allow_no_auth"])
    to = replace(to, store=_choose_store(settings, to, given["store"]))
    _keep(settings, to)
    _tell(to, version, as_json=as_json)


def _part(*, as_json: bool) -> None:
    from launch_jobs.local.lifecycle import leave

    left = leave(local_session().settings, say=progress)
    if as_json:
        emit({"forgotten": left})
        return
    click.echo("Parted" if left else "This home was not connected to a server elsewhere")
    next_command("launch up")


def _greet(
    settings: LaunchSettings, url: str, auth_file: TextIO | None, *, allow_no_auth: bool
) -> tuple[Connection, str]:
    """Meet the server: what leads to it, and its version."""
    from launch_jobs.local.connection import connection
    from launch_jobs.local.lifecycle import check_down
    from launch_jobs.local.remote import (
        Credential,
        asks_for_credential,
        check_version,
        remote,
        server_url,
        server_version,
    )

    api_url, former = server_url(url), connection(settings)
    check_down(settings)
    if asks_for_credential(api_url):
        credential, version = _log_in(api_url, auth_file, former)
    else:
        _accept_open(api_url, allowed=allow_no_auth)
        credential = Credential()
        version = server_version(api_url, credential)
    check_version(api_url, version)
    return remote(api_url, credential), version


def _accept_open(api_url: str, *, allowed: bool) -> None:
    from launch_jobs.local.remote import is_local

    if not allowed and not is_local(api_url):
        raise Refused(
            f"The server at {api_url} asks for no credential: whoever reaches it can run programs on its agents",
            do="Set PREFECT_SERVER_API_AUTH_STRING there, or take it as it is with --allow-no-auth",
        )


def _log_in(api_url: str, auth_file: TextIO | None, former: Connection | None) -> tuple[Credential, str]:
    """A credential that the server takes, and the server's version."""
    from launch_jobs.local.remote import Credential, is_local, server_version

    if api_url.startswith("http:") and not is_local(api_url):
        warn(f"{api_url} is not encrypted: who is on the way to it can read the credential; better is https")
    given = _given(api_url, auth_file)
    if given is None and former is not None and former.api_url == api_url:
        kept = Credential(former.auth_string, former.api_key)
        with suppress(BadInput):  # it was changed on the server
            return kept, server_version(api_url, kept)
    credential = given or Credential(_ask(api_url))
    return credential, server_version(api_url, credential)


def _given(api_url: str, auth_file: TextIO | None) -> Credential | None:
    """What the caller gave; None: nothing, or what the environment has is for another server."""
    from launch_jobs.local.remote import Credential, server_url

    if auth_file is not None:
        text = auth_file.read(4096).strip()
        if not text:
            raise BadInput("The credential's file is empty", do="Write user:password into it")
        return Credential(text)
    for_server = os.environ.get("PREFECT_API_URL")
    if for_server and server_url(for_server) != api_url:
        return None
    found = Credential(os.environ.get("PREFECT_API_AUTH_STRING", ""), os.environ.get("PREFECT_API_KEY", ""))
    return found if found.headers else None


def _ask(api_url: str) -> str:
    if not sys.stdin.isatty():
        raise BadInput(
            f"The server at {api_url} asks for a credential",
            do="Give user:password by --auth-file FILE, PREFECT_API_AUTH_STRING, or on a terminal",
        )
    return click.prompt(f"user:password for {api_url} (not shown)", hide_input=True, err=True)


def _choose_store(settings: LaunchSettings, to: Connection, wanted: str | None) -> str | None:
    """The store to keep with the connection: the one wanted, else the server's default, else as it was."""
    from launch_jobs.configured import configured_store
    from launch_jobs.local.connection import connection, use_server

    use_server(to)
    quieten()
    if wanted is None and _has_default_store():
        wanted = _DEFAULT_STORE
    if wanted is None:
        former = connection(settings)
        return former.store if former else None
    configured_store(settings.model_copy(update={"store": wanted}))
    return wanted


def _has_default_store() -> bool:
    from launch_jobs.operator_blocks import JobStoreFields, read_block

    try:
        wait(read_block(JobStoreFields, _DEFAULT_STORE.removeprefix("block:")))
    except NotFound:
        return False
    return True


def _keep(settings: LaunchSettings, to: Connection) -> None:
    from launch_jobs.local.lifecycle import join

    join(settings, to, say=progress)
    effective = local_session().settings.store_url
    if to.store is None:
        warn(f"The job store stays {effective}; agents elsewhere need the same one: name it with --store")
    elif effective != to.store:
        warn(f"The job store is {effective}, for LAUNCH_JOBS_STORE or settings.toml comes before --store")


def _tell(to: Connection, version: str, *, as_json: bool) -> None:
    store = local_session().settings.store_url
    if as_json:
        auth = bool(to.auth_string or to.api_key)
        emit({"api_url": to.api_url, "ui_url": to.ui_url, "version": version, "auth": auth, "store": store})
        return
    facts([("server", to.api_url), ("Prefect", version), ("UI", to.ui_url), ("job store", store)])
    next_command("launch queue list")
