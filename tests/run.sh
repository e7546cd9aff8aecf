#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Installs what the tests need (scripts/setup.sh) and passes them all: format, lints, unit,
# integration and documentation tests against real peers on loopback, the documentation, and a
# build through meson that gst-inspect-1.0 then loads. Stops at the first that fails.

set -eu
cd "$(dirname "$0")/.."

begun=$(date +%s)
step() {
    echo
    echo "== $(($(date +%s) - begun)) s: $*"
}

step "what is needed"
scripts/setup.sh build test

# A current ffmpeg, for what Debian's 5.1 does not know: Enhanced RTMP v2. pyrtmp is a server of RTMPT, as
# its authors run it: behind Quart.
step "a current ffmpeg, pyrtmp"
wanted="imageio-ffmpeg==0.8.1 pyrtmp==0.3.1 Quart==0.22.0"
have=$(tests/.venv/bin/pip freeze 2>/dev/null || true)
for package in $wanted; do
    echo "$have" | grep -qx "$package" && continue
    python3 -m venv tests/.venv
    # shellcheck disable=SC2086 # a list of names
    tests/.venv/bin/pip install -q --disable-pip-version-check $wanted
    break
done

step "format"
cargo fmt --check

step "lints"
cargo clippy --locked --all-targets -- -D warnings

step "fuzz targets"
# They need nightly to run, not to be checked; unchecked, a change of a session leaves them behind.
cargo check --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

if cargo deny --version >/dev/null 2>&1; then
    step "licences and sources of the dependencies"
    cargo deny --offline check bans licenses sources
fi

step "tests"
cargo test --locked

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --lib

step "meson"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT INT TERM
# The folder of cargo is shared, so that this does not compile everything a second time.
meson setup "$build/meson" --buildtype debug --prefix /usr -Dtarget-dir="$PWD/target"
meson compile -C "$build/meson"
DESTDIR="$build/root" meson install -C "$build/meson" --no-rebuild
plugin=$(find "$build/root" -name libgstrtmp.so)
[ -n "$plugin" ] || { echo "meson installed no libgstrtmp.so" >&2; exit 1; }
# By the name of the plugin: given a path, gst-inspect-1.0 lists whatever plugin has that name.
GST_REGISTRY="$build/registry" GST_PLUGIN_PATH="${plugin%/*}" gst-inspect-1.0 rtmp >"$build/details"
cat "$build/details"
grep -q "Filename *$plugin$" "$build/details" || { echo "another plugin won" >&2; exit 1; }

step "all passed"
