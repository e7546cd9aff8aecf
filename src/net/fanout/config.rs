// SPDX-License-Identifier: MPL-2.0

//! How a fan-out treats its clients.

use std::time::Duration;

/// How a fan-out treats its clients.
#[derive(Clone, Debug)]
pub struct Config {
    /// Blocks of this much time go out together; zero sends each at once.
    pub batch: Duration,
    /// What becomes of a client that is too slow.
    pub recover: Recover,
    /// How far a client may fall behind in time.
    pub lag_time: Duration,
    /// How far a client may fall behind in bytes.
    pub lag_bytes: usize,
    /// Most bytes to keep, come what may: an hour without a join must not fill the memory.
    pub window_bytes: usize,
    /// How much time to keep at least before the newest block, for [`Start::Time`](super::Start::Time).
    pub keep_time: Duration,
    /// How many bytes to keep at least before the newest block, for [`Start::Bytes`](super::Start::Bytes).
    pub keep_bytes: usize,
    /// Bytes that the kernel may hold unsent for a client (TCP_NOTSENT_LOWAT). Zero leaves it to the
    /// kernel, which holds megabytes: half a minute of a slow client's stream.
    pub unsent: u32,
    /// How long a client may take nothing while something waits for it.
    pub stall: Duration,
    /// Blocks come several at a time, one right behind another, so that it is worth a moment to wait for
    /// what else comes.
    pub gather: bool,
    /// Bits of [`Block::kind`](super::Block::kind) that can only be taken up at a join, such as video.
    pub keyed: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: Duration::ZERO,
            recover: Recover::NextKey,
            lag_time: Duration::from_secs(5),
            lag_bytes: 16 << 20,
            window_bytes: 64 << 20,
            keep_time: Duration::ZERO,
            keep_bytes: 0,
            unsent: 64 << 10,
            stall: Duration::from_secs(30),
            gather: true,
            keyed: 0,
        }
    }
}

/// What becomes of a client that falls too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recover {
    /// It goes on at the latest join, or the next if that is too old as well.
    NextKey,
    /// Its connection is reset.
    Drop,
}
