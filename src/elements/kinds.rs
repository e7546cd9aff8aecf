// SPDX-License-Identifier: MPL-2.0

//! Enumerations that properties of several elements take.

use crate::net::fanout;

/// What becomes of a client that is too slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRecoverPolicy")]
pub enum RecoverPolicy {
    /// It misses what it could not take.
    #[default]
    #[enum_value(name = "Go on at the next key frame", nick = "next-key-frame")]
    NextKeyFrame = 0,
    /// It may come again.
    #[enum_value(name = "Reset the connection", nick = "drop")]
    Drop = 1,
}

impl From<RecoverPolicy> for fanout::Recover {
    fn from(policy: RecoverPolicy) -> Self {
        match policy {
            RecoverPolicy::NextKeyFrame => Self::NextKey,
            RecoverPolicy::Drop => Self::Drop,
        }
    }
}
