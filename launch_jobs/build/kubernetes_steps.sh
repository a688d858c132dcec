# The steps of a build, a container each: docs/decisions/0009. Only `build` runs code of users, and it has no account.
set -eu
work=/work out=/work/out
# HOME is a folder of `fetch` and `push` alone, and another one of `build`: what is configured there is nobody else's.
export TMPDIR=$HOME/tmp XDG_RUNTIME_DIR=$HOME/run
mkdir -p "$TMPDIR" "$XDG_RUNTIME_DIR" "$HOME/.config/containers"
printf '%s' "$REGISTRIES" >"$HOME/.config/containers/registries.conf"

case $1 in
fetch)
    if [ -n "$BASE" ]; then
        echo "Fetching $BASE"
        skopeo copy --quiet --retry-times 3 --override-os linux --override-arch "$ARCHITECTURE" \
            "docker://$BASE" "dir:$work/base"
    fi
    # An agent unpacks it here; one that takes over from a dead one brings it again.
    waited=0
    until [ -d "$work/context" ]; do
        waited=$((waited + 1))
        [ $waited -le 3000 ] || { echo "launch: no agent brought the build's files" >&2; exit 1; }
        sleep 0.2
    done
    ;;
build)
    # An overlay in a user namespace: Linux 5.13 and a disk that is none itself. Else whole copies, which are slow.
    export STORAGE_DRIVER=overlay
    buildah info >/dev/null 2>&1 || export STORAGE_DRIVER=vfs
    if [ -n "$BASE" ]; then
        echo "Unpacking the base image"
        buildah tag "$(buildah pull --quiet "dir:$work/base")" localhost/launch-base:1
        rm -rf "$work/base"
    fi
    # Nothing of the context may stand in it by chance, and nothing in it is read as an option.
    mv "$work/context/.launch-jobs.dockerfile" "$work/dockerfile"
    set -- --isolation chroot --pull=false --format docker --file "$work/dockerfile" --tag "$TAG"
    if [ -n "$BASE" ]; then
        set -- "$@" --build-context "$BASE_NAME=docker-image://localhost/launch-base:1"
    fi
    if [ -n "$LAYER_CACHE" ]; then
        set -- "$@" --layers --cache-from "$LAYER_CACHE" --cache-to "$LAYER_CACHE"
    fi
    for secret in $SECRETS; do
        set -- "$@" --secret "id=$secret,src=/run/launch-secrets/$secret"
    done
    buildah build "$@" "$work/context"
    echo "Packing $TAG"
    buildah push --quiet --format v2s2 "$TAG" "dir:$out"
    ;;
push)
    echo "Pushing $TARGET"
    skopeo copy --quiet --retry-times 3 --digestfile /dev/termination-log "dir:$out" "docker://$TARGET"
    ;;
esac
