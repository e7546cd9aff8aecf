// SPDX-License-Identifier: MPL-2.0

//! Live WebM to many: the servers that are compared, each fed with the same file at its own pace, and
//! the clients that load them.

pub(crate) mod feed;
pub(super) mod load;
pub(super) mod plain;
pub(super) mod servers;
