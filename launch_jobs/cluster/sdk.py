"""The parts of `kubernetes_asyncio` that we use, loaded without the rest.

The package loads a class for each kind of object and each call that Kubernetes has: 37 MB of an agent's memory and a
second of its start, of which nothing is used here.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, Configuration
    from kubernetes_asyncio.stream import WsApiClient

IMPORTING = threading.Lock()
"""Held by whoever imports the whole package, or this part of it: they take turns."""

_SDK = "kubernetes_asyncio"
_loaded: list[Sdk] = []


@dataclass(frozen=True, slots=True)
class Sdk:
    """What we use.

    Attributes:
        config: reads kubeconfigs, and keeps their tokens fresh.
        configuration: address and credentials.
        client: makes requests.
        sockets: the same for web sockets.
    """

    config: Any  # the package has no types
    configuration: type[Configuration]
    client: type[ApiClient]
    sockets: type[WsApiClient]


def sdk() -> Sdk:
    """The parts, loaded once."""
    with IMPORTING:
        if not _loaded:
            if _SDK not in sys.modules:
                _load_apart()
            else:
                _loaded.append(_parts())
        return _loaded[0]


def _load_apart() -> None:
    """Load them as if the package had no models; whoever imports it later gets the whole, and these stay apart."""
    spec = find_spec(_SDK)
    root = Path(str(spec.origin)).parent if spec else Path()
    package, client, models = (_stand_in(name, root) for name in (_SDK, f"{_SDK}.client", f"{_SDK}.client.models"))
    vars(package)["client"], vars(client)["models"] = client, models
    try:
        for module, name in (("configuration", "Configuration"), ("api_client", "ApiClient")):
            setattr(client, name, getattr(import_module(f"{_SDK}.client.{module}"), name))
        _loaded.append(_parts())
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == _SDK]:
            del sys.modules[name]


def _stand_in(name: str, root: Path) -> ModuleType:
    """An empty package whose modules are found where they are."""
    made = ModuleType(name)
    made.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
    sys.modules[name] = made
    return made


def _parts() -> Sdk:
    client, stream = import_module(f"{_SDK}.client"), import_module(f"{_SDK}.stream")
    return Sdk(import_module(f"{_SDK}.config"), client.Configuration, client.ApiClient, stream.WsApiClient)
