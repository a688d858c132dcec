"""What is secret and what is not: by the name of a file, by the shape of what is in it, never by looking random."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
from pathlib import Path

import pytest

from launch_jobs.capture.secret_names import denied_kind
from launch_jobs.capture.secrets import LARGEST_BYTES, check_secrets
from launch_jobs.capture.tree import scan_tree, see
from launch_jobs.errors import Refused

LETTERS = string.ascii_letters + string.digits


def drawn(count: int, letters: str = LETTERS, seed: int = 7) -> str:
    """Letters drawn by chance, the same every time; never written down, so that no scanner finds this file."""
    return "".join(random.Random(seed).choices(letters, k=count))


HEX, UPPER = "0123456789abcdef", string.ascii_uppercase + string.digits
BODY = "MIIEpAIBAAKCAQEA" + drawn(48)
BEGIN = "-----BEGIN "  # apart, for the same reason
SECRETS = {
    "AWS key id": "AKIA" + drawn(16, UPPER),
    "AWS secret in an ini file": "aws_secret_access_key = " + drawn(40),
    "AWS secret in code": f'boto3.client("s3", aws_secret_access_key="{drawn(40)}")',
    "AWS secret in JSON": f'{{"SecretAccessKey": "{drawn(40)}"}}',
    "GitHub": f'TOKEN = "ghp_{drawn(36)}"',
    "GitHub, fine-grained": f"github_pat_{drawn(22)}_{drawn(59)}",
    "GitLab": "glpat-" + drawn(20),
    "Slack": f"xoxb-123456789012-1234567890123-{drawn(24)}",
    "OpenAI": "sk-" + drawn(48),
    "OpenAI, of a project": f"sk-proj-{drawn(40)}",
    "Anthropic": f"sk-ant-api03-{drawn(90)}",
    "Hugging Face": "hf_" + drawn(34),
    "W&B": "WANDB_API_KEY=" + drawn(40, HEX),
    "W&B login": f'wandb.login(key="{drawn(40, HEX)}")',
    "PyPI": "pypi-AgEIcHlwaS5vcmc" + drawn(80),
    "Prefect": "pnu_" + drawn(36),
    "database URL": "postgresql://admin:hunter2@db.internal:5432/prod",
    "database URL without user": "redis://:s3cr3tpw@cache:6379",
    "ODBC": '"Driver={x};Server=tcp:db;Uid=a;Pwd=S3cr3t!;"',
    "Azure": f"AccountName=a;AccountKey={drawn(86)}==;EndpointSuffix=x",
    "private key": f"{BEGIN}RSA PRIVATE KEY-----\n{BODY}\n",
    "private key, DOS lines": f"{BEGIN}PRIVATE KEY-----\r\n{BODY}\r\n",
    "private key, encrypted": f"{BEGIN}RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,7A\n\n{BODY}\n",
    "service account": json.dumps({"type": "service_account", "private_key": f"{BEGIN}PRIVATE KEY-----\n{BODY}\n"}),
}


def jwt() -> str:
    """A signed token of no use."""
    parts = [json.dumps(one).encode() for one in ({"alg": "HS256", "typ": "JWT"}, {"sub": "1", "name": "A"})]
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in (*parts, b"signature" * 4))


SECRETS["JSON web token"] = f'headers = {{"Authorization": "Bearer {jwt()}"}}'


def digests(count: int) -> list[str]:
    """SHA-256 digests."""
    return [hashlib.sha256(str(at).encode()).hexdigest() for at in range(count)]


def pixels(count: int) -> str:
    """Bytes by chance as base64, as pictures are."""
    return base64.b64encode(random.Random(3).randbytes(count)).decode()


HARMLESS = {
    "uv.lock": "\n".join(
        f'{{ url = "https://files.pythonhosted.org/packages/{one[:2]}/{one[2:4]}/{one}/secret_token-1.0-py3-none-any.whl",'
        f' hash = "sha256:{one}", size = 1 }},'
        for one in digests(2000)
    ),
    "poetry.lock": "\n".join(
        f'    {{file = "aws_key_pass-1.tar.gz", hash = "sha256:{one}"}},' for one in digests(2000)
    ),
    "package-lock.json": "\n".join(
        f'"@aws-sdk/token-providers": {{"resolved": "https://registry.npmjs.org/@aws-sdk/token-providers/-/x.tgz", '
        f'"integrity": "sha512-{pixels(64)}"}},'
        for _ in range(500)
    ),
    "requirements.txt": "\n".join(f"pypi-token=={at}.0 --hash=sha256:{one}" for at, one in enumerate(digests(2000))),
    "plot.ipynb": json.dumps({"cells": [{"outputs": [{"data": {"image/png": pixels(2_000_000)}}]}]}),
    "model.py": "def fit(self, X, y, *, token_pattern=r'(?u)\\b\\w\\w+\\b', api_key=None):\n"
    "    # -----BEGIN PRIVATE KEY----- is how one begins\n    self.max_tokens, password = 8, getpass()\n"
    '    url = f"postgresql://{user}:{password}@{host}/db"\n    key = os.environ["OPENAI_API_KEY"]\n',
    "key.pem.example": f"{BEGIN}PRIVATE KEY-----\n<put your key here>\n-----END PRIVATE KEY-----\n",
    "cert.pem": f"{BEGIN}CERTIFICATE-----\n{pixels(900)}\n-----END CERTIFICATE-----\n",
    "public.pem": f"{BEGIN}PUBLIC KEY-----\n{pixels(300)}\n-----END PUBLIC KEY-----\n",
    "id_rsa.pub": f"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC{drawn(300)} me@here\n",
    ".env.example": "OPENAI_API_KEY=sk-your-key-here\nHF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
    "compose.yaml": "DATABASE_URL: postgres://postgres:postgres@db/app\nimage: docker://python:3.11@sha256:"
    + digests(1)[0],
    "README.md": "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n"
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",  # those of Amazon's own documentation
    "ci.yml": f"uses: aws-actions/configure-aws-credentials-token@{drawn(40, HEX)}\n",
}


def judge(root: Path, *allowed: str) -> list[str]:
    """Judge every file of a folder."""
    seen = [see(root, entry.path) for entry in scan_tree(root)]
    return check_secrets(root, [one for one in seen if one], allowed)


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_of_a_known_shape_is_refused_without_being_told(tmp_path: Path, kind: str) -> None:
    """File and line are named, the value is not."""
    (tmp_path / "settings.py").write_text(f"import os\n\n{SECRETS[kind]}\n", newline="")

    with pytest.raises(Refused) as refused:
        judge(tmp_path)

    assert "settings.py:" in str(refused.value)
    told = str(refused.value)
    assert not any(SECRETS[kind][at : at + 10] in told for at in range(12, len(SECRETS[kind]) - 10))
    assert refused.value.exit_code == 3
    assert "--allow-secret-file" in refused.value.do


def test_line_of_the_secret_is_named(tmp_path: Path) -> None:
    """Lines count from one."""
    (tmp_path / "a.py").write_text(f"one\ntwo\n{SECRETS['GitHub']}\n")

    with pytest.raises(Refused, match=r"a\.py:3 \(GitHub token ghp_\*\*\*\*\)"):
        judge(tmp_path)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_random_is_not_refused_nor_noted(tmp_path: Path, name: str) -> None:
    """Lock files, pictures in notebooks, hashes, certificates, examples, ordinary code."""
    (tmp_path / name).write_text(HARMLESS[name])

    assert judge(tmp_path) == []


@pytest.mark.parametrize(
    "path",
    [
        *(".env", "app/.env.production", "id_rsa", "keys/id_ed25519", ".aws/credentials", "home/.aws/config"),
        *(".netrc", ".pypirc", ".git-credentials", "kubeconfig", ".kube/config", "client.p12", "a.PFX", "kaggle.json"),
    ],
)
def test_name_alone_is_enough(tmp_path: Path, path: str) -> None:
    """Whatever is in it."""
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text("A=1\n")

    with pytest.raises(Refused, match="by its name"):
        judge(tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        *(".env.example", ".env.template", "env.py", ".envrc", "id_rsa.pub", "id_rsa_test.py", "environment.yml"),
        *("aws/credentials.py", "kube/config.py", ".ssh/known_hosts", "p12.py", "tokens/huggingface.py"),
    ],
)
def test_names_that_only_resemble(path: str) -> None:
    """Examples, public halves, and modules about such things."""
    assert denied_kind(path) is None


def test_pem_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    """Unreadable to us, but its name says key."""
    (tmp_path / "server.pem").write_text("AAAA\n")

    with pytest.raises(Refused, match=r"server\.pem"):
        judge(tmp_path)


def test_allowed_file_is_noted_and_the_next_still_refused(tmp_path: Path) -> None:
    """A permission is for one file."""
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / "b.py").write_text(SECRETS["OpenAI"])

    with pytest.raises(Refused, match=r"captured: b\.py:1 "):
        judge(tmp_path, ".env")
    notes = judge(tmp_path, ".env", str(tmp_path / "b.py"))

    assert [note for note in notes if ".env (environment file" in note]
    assert [note for note in notes if "b.py:1 (OpenAI key sk-" in note]
    assert SECRETS["OpenAI"] not in str(notes)


def test_random_value_with_a_telling_name_is_noted_only(tmp_path: Path) -> None:
    """It may be one, and may be none."""
    (tmp_path / "a.py").write_text(f'x = 1\napi_key = "{drawn(40)}"\n')

    assert judge(tmp_path) == ["Random-looking values that may be secrets were captured: a.py:2."]


def test_what_was_not_searched_is_said(tmp_path: Path) -> None:
    """Large and binary files."""
    (tmp_path / "data.csv").write_bytes(b"1,2\n" * (LARGEST_BYTES // 4 + 1))
    (tmp_path / "model.bin").write_bytes(b"\0" + SECRETS["OpenAI"].encode())

    assert judge(tmp_path) == [
        "Not searched for secrets, for their size: data.csv.",
        "Not searched for secrets: 1 binary file.",
    ]
