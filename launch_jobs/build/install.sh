#!/bin/sh
# Makes a job's Python environment in /opt/launch/venv.
# Arguments: Python version, version of uv, package index (empty: the tools' own default).
set -eu
python=$1 uv_version=$2 index=$3
venv=/opt/launch/venv cache=/var/cache/launch
minor=$(echo "$python" | cut -d. -f1,2)
case $python in *+freethreaded) minor=$minor+freethreaded ;; esac

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
# One file an index: a package is taken from its own, and nobody can offer it in another. Hashes are checked.
for lock in /opt/launch/requirements*.lock; do
    if [ -s "$lock" ]; then
        "$uv" pip install --python "$venv/bin/python" --no-deps -r "$lock"
    fi
done
if [ -d /opt/launch/site ]; then
    cp -R /opt/launch/site/. "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
fi
for script in /opt/launch/bin/*; do
    [ -e "$script" ] || continue
    cp "$script" "$venv/bin"
    chmod 755 "$venv/bin/${script##*/}"
done
# Libraries of the system that compiled packages need and neither they nor the base image have, such as libgomp. Debian
# names a package after its library: libgomp.so.1 is in libgomp1, libglib-2.0.so.0 in libglib2.0-0. What is not found
# there fails when, and only if, the program needs it.
missing=
if command -v apt-get >/dev/null && command -v ldd >/dev/null; then
    for library in $(find "$venv" -name '*.so*' -type f -exec ldd {} + 2>/dev/null |
        sed -n 's/^[[:space:]]*\(lib[^ ]*\) => not found$/\1/p' | sort -u); do
        # The driver's libraries come from the host that has the GPU; Debian's would not fit it.
        case $library in libcuda.so* | libnvidia-* | libnvcuvid.so*) continue ;; esac
        [ -n "$(find "$venv" -name "$library" -print -quit)" ] || missing="$missing $library"
    done
fi
if [ -n "$missing" ]; then
    apt-get update -qq || true
    for library in $missing; do
        package=$(echo "$library" | tr '[:upper:]_' '[:lower:]-' |
            sed -E 's/-([0-9.]+)\.so/\1.so/; s/([0-9])\.so\./\1-/; s/\.so\.//; s/\.so$//')
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends -- "$package" >/dev/null 2>&1 ||
            echo "launch: no package for the missing system library $library (tried $package)"
    done
    rm -rf /var/lib/apt/lists/*
fi
# The folder of outputs: anybody's, and with the date by which the agent knows that it is empty (targets/containers.py).
mkdir -p -m 1777 /launch/outputs
TZ=UTC0 touch -t 198601281639.13 /launch/outputs
