"""Files whose very name says that they hold secrets. Pure: a path in, a kind out."""

from __future__ import annotations

import re

_FOR_EVERYONE = re.compile(r"\.(example|sample|template|tmpl|dist|defaults?|pub)$")
"""Endings of examples, and of the public halves of keys."""

_KINDS = {
    "environment file": r"\.env(\.[^/]+)?",
    "private SSH key": r"id_(rsa|dsa|ecdsa|ed25519)(_sk)?|[^/]+\.ppk|\.ssh/(?!known_hosts|config$|authorized_keys).+",
    "key store": r"[^/]+\.(p12|pfx|jks|keystore|kdbx)",
    "password file": r"[._]netrc|\.git-credentials|\.pgpass|\.my\.cnf|\.htpasswd|\.pypirc|\.s3cfg|\.boto",
    "AWS access": r"\.aws/.+",
    "Kubernetes access": r"kubeconfig(\.ya?ml)?|[^/]+\.kubeconfig|\.kube/config",
    "Docker access": r"\.dockercfg|\.docker/config\.json",
    "cloud access": r"application_default_credentials\.json|\.databrickscfg|kaggle\.json|\.vault-token",
    "token file": r"\.?huggingface/token|\.streamlit/secrets\.toml",
}
_DENIED = re.compile("(?:.*/)?(?:" + "|".join(f"(?P<k{at}>{one})" for at, one in enumerate(_KINDS.values())) + ")")


def denied_kind(path: str) -> str | None:
    """What a file is by its path (relative, `/` between parts) if nobody should store it; None for all others.

    Examples and templates (`.env.example`) and public halves of keys (`id_rsa.pub`) are for everyone.
    """
    lower = path.lower()
    found = _DENIED.fullmatch(lower)
    if found is None or _FOR_EVERYONE.search(lower):
        return None
    names = list(_KINDS)
    return next(names[at] for at in range(len(names)) if found[f"k{at}"] is not None)
