"""The scanner: secrets of a known shape in a text, by detect-secrets' own detectors and a few shapes that it lacks.

The one door to detect-secrets (its kept fork, bc-detect-secrets). Only detectors of a fixed shape are used, none that
judge by entropy or by a word nearby, and never its verification, which would send the secret over the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector

_OWN = {
    "AWS secret key": r"(?i:aws_secret\w*|secret_?access_?key)[\"']?"
    r"\s*[:=]\s*[\"']?([0-9A-Za-z/+]{40})(?![0-9A-Za-z/+])",
    "GitHub token": r"\bgithub_pat_[A-Za-z0-9_]{30,}",
    "GitLab token": r"\bgl(?:pat|dt|ft|soat|rt|cbt|ptt|agent|oas)-[A-Za-z0-9_-]{20,}",
    "Slack token": r"\bxapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{20,}|\bxox[abposr]-[A-Za-z0-9-]{20,}",
    "OpenAI key": r"\bsk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9]{32,}\b",
    "Anthropic key": r"\bsk-ant-[A-Za-z0-9_-]{20,}",
    "OpenRouter key": r"\bsk-or-[A-Za-z0-9_-]{20,}",
    "Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}\b",
    "W&B key": r"\bwandb_v1_[A-Za-z0-9_]{20,}|(?i:wandb)[^\n]{0,40}?(?<![0-9a-f])([0-9a-f]{40})(?![0-9a-f])"
    r"|api\.wandb\.ai\s+login\s+\S+\s+password\s+(\S{40,})",
    "PyPI token": r"\bpypi-AgE[A-Za-z0-9_-]{40,}",
    "Google key": r"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])|\bGOCSPX-[A-Za-z0-9_-]{20,}",
    "Azure storage key": r"AccountKey=([A-Za-z0-9+/]{40,}={0,2})",
    "Databricks token": r"\bdapi[0-9a-f]{32}\b",
    "Prefect key": r"\bpn[ub]_[A-Za-z0-9]{36}\b",
    "Docker Hub token": r"\bdckr_[op]at_[A-Za-z0-9_-]{20,}",
    "Vault token": r"\bhvs\.[A-Za-z0-9_-]{24,}",
    "Groq key": r"\bgsk_[A-Za-z0-9]{40,}\b",
    "Replicate token": r"\br8_[A-Za-z0-9]{37,}\b",
    "NVIDIA key": r"\bnvapi-[A-Za-z0-9_-]{40,}",
    "LangSmith key": r"\blsv2_[ps][tk]_[0-9a-f_]{32,}",
    "private key": r"BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\s+"
    r"(?:[A-Za-z-]+: [^\n]+\n)+\s*([A-Za-z0-9+/=]{20,})",
    "password in a URL": r"[a-z][a-z0-9+.-]*://[^\s:/@'\"`<>{}$]*:([^\s/@'\"`<>{}$*]{3,})@(?!sha256:)[\w\[]",
    "password in a connection string": r"(?i:\b(?:server|data source|host|driver)\s*=[^\n'\"]*?;[^\n'\"]*?"
    r"\b(?:password|pwd)\s*=)([^;\s'\"{}<>$]{3,})",
}
_PLACEHOLDERS = re.compile(
    r"(?i)x{4,}|\*{3,}|\.{3,}|1234567890?$|(?-i:EXAMPLE(?:KEY)?$)|placeholder|redacted|change-?_?me|your[-_]|<|\{|\$\(|%\("
    r"|^(?:pass(?:word|wd)?|pwd|pw|secret|token|user(?:name)?|postgres|mysql|root|admin|guest|test|example|minioadmin|tiger|foo|bar|baz)$"
)
_HEX = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Found:
    """One secret in a text.

    Attributes:
        kind: what it is, in plain words.
        line: where it begins, from 1.
        masked: enough of it to know it again, not to use it.
    """

    kind: str
    line: int
    masked: str


def scan(text: str) -> tuple[Found, ...]:
    """Every secret of a known shape, by line; placeholders and references to variables are none."""
    text = text.replace("\r\n", "\n")
    found: dict[int, Found] = {}
    for kind, detect in _DETECTORS:
        for value in detect(text):
            if _PLACEHOLDERS.search(value):
                continue
            at = text.find(value)
            found.setdefault(at, Found(kind, text.count("\n", 0, at) + 1, _masked(kind, value)))
    return tuple(one for _, one in sorted(found.items()))


def _masked(kind: str, value: str) -> str:
    """The first letters of a token say which kind it is; a password has none to show."""
    return "****" if kind.startswith(("password", "private")) or len(value) < 20 else f"{value[:4]}****"


def _own(pattern: str) -> Callable[[str], Iterable[str]]:
    compiled = re.compile(pattern)

    def detect(text: str) -> Iterator[str]:
        return (next((group for group in one.groups() if group), one[0]) for one in compiled.finditer(text))

    return detect


def _aws(text: str) -> Iterator[str]:
    """A git commit beside the word `aws` is no access key, which is never all hexadecimal."""
    return (value for value in AWSKeyDetector().analyze_string(text) if not _HEX.fullmatch(value))


def _github(text: str) -> Iterator[str]:
    """The library gives the start of the token only."""
    patterns = cast("list[re.Pattern[str]]", GitHubTokenDetector.denylist)
    return (one[0] for pattern in patterns for one in pattern.finditer(text))


def _jwt(text: str) -> Iterator[str]:
    """Signed ones: all three parts."""
    return (value for value in JwtTokenDetector().analyze_string(text) if value.count(".") == 2 and value[-1] != ".")


_LIBRARY: tuple[tuple[str, type[RegexBasedDetector]], ...] = (
    ("private key", PrivateKeyDetector),
    ("Slack token", SlackDetector),
    ("npm token", NpmDetector),
    ("Stripe key", StripeDetector),
    ("SendGrid key", SendGridDetector),
    ("Square secret", SquareOAuthDetector),
)
_DETECTORS: tuple[tuple[str, Callable[[str], Iterable[str]]], ...] = (
    ("AWS access key", _aws),
    ("GitHub token", _github),
    ("JSON web token", _jwt),
    *((kind, detector().analyze_string) for kind, detector in _LIBRARY),
    *((kind, _own(pattern)) for kind, pattern in _OWN.items()),
)
