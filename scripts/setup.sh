#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Installs what is missing on a Debian 12 machine, and nothing else:
#
#   scripts/setup.sh build          to compile the plugin
#   scripts/setup.sh build demo     ... and to run examples/broadcast.sh
#   scripts/setup.sh build test     ... and to run tests/run.sh
#
# Runs as root or through sudo, asks nothing, and may be run again at any time: with everything in
# place it touches neither the package lists nor the network.
#
# How versions are pinned: by the Debian release, which fixes the upstream version of every package
# and changes only by security and point updates. So the lists below name a package with the least
# version that will do; an older one is upgraded, and if apt has none the script says so and fails.

set -eu

# package, least version
BUILD='
build-essential                    12
ca-certificates                    20211016
git                                1:2.30
libgstreamer1.0-dev                1.22
libgstreamer-plugins-base1.0-dev   1.22
pkg-config                         1.8
'
# What the chain of the demo is made of: x264enc (ugly), avdec_h264 and the AAC coder (libav),
# flvmux, flvdemux and pngenc (good), clockoverlay (x, which holds Pango's elements).
DEMO='
gstreamer1.0-libav                 1.22
gstreamer1.0-plugins-base          1.22
gstreamer1.0-plugins-good          1.22
gstreamer1.0-plugins-ugly          1.22
gstreamer1.0-tools                 1.22
gstreamer1.0-x                     1.22
'
# The peers. plugins-bad brings the librtmp and rtmp2 elements that ours are measured against, and with
# libnice's plugin what wcswebrtcbin stands on.
TEST='
chromium                           120
curl                               7.88
ffmpeg                             7:5.1
gstreamer1.0-libav                 1.22
gstreamer1.0-nice                  0.1.21
gstreamer1.0-plugins-bad           1.22
gstreamer1.0-plugins-base          1.22
gstreamer1.0-plugins-good          1.22
gstreamer1.0-plugins-ugly          1.22
gstreamer1.0-tools                 1.22
icecast2                           2.4.4
libnginx-mod-rtmp                  1:1.2.2
libnginx-mod-stream                1.22
meson                              1.0
nginx                              1.22
ninja-build                        1.11
openssl                            3.0
python3-venv                       3.11
rtmpdump                           2.4
tshark                             4.0
'
# Must not be below rust-version in Cargo.toml.
RUST=1.92

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "run this as root, or install sudo: $*"
    fi
}

# The version of an installed package, or nothing.
installed() {
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
        sed -n 's/^installed //p' | head -n 1
}

# Prints the packages of a list that are missing or too old.
wanting() {
    echo "$1" | while read -r package least; do
        [ -n "$package" ] || continue
        have=$(installed "$package")
        if [ -z "$have" ] || dpkg --compare-versions "$have" lt "$least"; then
            echo "$package"
        fi
    done
}

setup_packages() {
    missing=$(wanting "$1" | sort -u | tr '\n' ' ')
    if [ -z "$missing" ]; then
        say "packages: all there"
        return
    fi
    say "installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get -q update
    # nginx would start its default server on port 80; the tests run their own. A policy-rc.d that
    # somebody else put there is left alone.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
        trap 'as_root rm -f "$policy"' EXIT INT TERM
    fi
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install -y --no-install-recommends $missing
    still=$(wanting "$1" | sort -u | tr '\n' ' ')
    [ -z "$still" ] || fail "this release has no new enough: $still"
}

setup_rust() {
    if ! command -v cargo >/dev/null && [ -r "$HOME/.cargo/env" ]; then
        fail "cargo is not in PATH: run '. \"$HOME/.cargo/env\"' first"
    fi
    command -v cargo >/dev/null || fail "no cargo: install Rust $RUST or newer with rustup"
    have=$(cargo --version | cut -d ' ' -f 2)
    dpkg --compare-versions "$have" ge "$RUST" ||
        fail "cargo $have is too old: run 'rustup update stable' ($RUST or newer)"
    say "cargo $have"
}

# rustup's minimal profile comes without them.
setup_rust_checks() {
    for tool in clippy rustfmt; do
        command="cargo-$tool"
        [ "$tool" = rustfmt ] && command=cargo-fmt
        "$command" --version >/dev/null 2>&1 || rustup component add "$tool"
    done
}

[ $# -gt 0 ] || set -- build
packages=
checks=false
for part in "$@"; do
    case $part in
    build) packages="$packages$BUILD" ;;
    demo) packages="$packages$DEMO" ;;
    test) packages="$packages$TEST" checks=true ;;
    *) fail "unknown part '$part': build, demo or test" ;;
    esac
done

# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}")
[ "$release" = "debian 12" ] || say "warning: made for Debian 12, this is $release"

setup_packages "$packages"
setup_rust
if $checks; then
    setup_rust_checks
fi
