// SPDX-License-Identifier: MPL-2.0

//! The only place with sockets, TLS, threads and timers. Knows nothing of elements.
