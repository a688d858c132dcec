#!/bin/sh
# Makes a job's Python environment in /opt/launch/venv.
# Arguments: Python version, version of uv, package index (empty: the tools' own default).
set -eu
python=$1 uv_version=$2 index=$3
venv=/opt/launch/venv cache=/var/cache/launch
minor=$(echo "$python" | cut -d. -f1,2)

# Without a cache mount (no BuildKit) a cache would only make the image larger.
if grep -qs " $cache " /proc/mounts; then
    export UV_CACHE_DIR=$cache/uv PIP_CACHE_DIR=$cache/pip
else
    export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
fi
if [ -n "$index" ]; then
    export UV_DEFAULT_INDEX="$index" PIP_INDEX_URL="$index"
fi
# uv trusts its own list of certificates unless told; a base image's own store may hold a company's.
if [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ]; then
    export UV_SYSTEM_CERTS=1
fi
# The program runs as another user, who cannot write byte code later. Hashes, not times: the layer is reproducible.
export UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH SOURCE_DATE_EPOCH=315532800
export UV_LINK_MODE=copy UV_PYTHON_INSTALL_DIR=/opt/launch/python UV_NO_PROGRESS=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_PROGRESS_BAR=off

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
if python3 -m venv "$tools" >/dev/null 2>&1; then
    "$tools/bin/pip" install --quiet --no-deps "uv==$uv_version"
elif python3 -m pip --version >/dev/null 2>&1; then
    python3 -m pip install --quiet --no-deps --target "$tools" "uv==$uv_version"
else
    echo "launch: the base image has no python3 with venv or pip; choose a base image that has" >&2
    exit 1
fi
uv=$tools/bin/uv

# The exact version, else the base image's own of the same minor, else what uv can fetch.
"$uv" venv --quiet --no-python-downloads --python "$python" "$venv" 2>/dev/null ||
    "$uv" venv --no-python-downloads --python "$minor" "$venv" ||
    "$uv" venv --python "$minor" "$venv" || {
    echo "launch: the base image has no Python $minor and uv could not fetch it; choose a base image that has" >&2
    exit 1
}
if [ -s /opt/launch/requirements.lock ]; then
    "$uv" pip install --python "$venv/bin/python" --no-deps -r /opt/launch/requirements.lock
fi
if [ -d /opt/launch/site ]; then
    cp -R /opt/launch/site/. "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
fi
# The folder of outputs: anybody's, and with the date by which the agent knows that it is empty (targets/containers.py).
mkdir -p -m 1777 /launch/outputs
TZ=UTC0 touch -t 198601281639.13 /launch/outputs
