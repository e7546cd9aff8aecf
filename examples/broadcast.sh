#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Installs what is missing (scripts/setup.sh), builds, and runs examples/broadcast: a live picture
# goes out through rtmpsink and comes back through a listening rtmpsrc, all on this machine.
# Arguments go to the example; --help lists them.

set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh build demo
exec cargo run --release --locked --example broadcast -- "$@"
