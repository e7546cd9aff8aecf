// SPDX-License-Identifier: MPL-2.0

//! Peers of a port that have not said what they want, and who of them makes room for others.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::greeting::GreetingTask;
use crate::protocol::rtmp::limits;

/// Who means to speak does at once; whoever has not after this long makes room.
const SILENCE: Duration = Duration::from_millis(250);

/// A peer may take this long over its greeting before it makes room for other addresses.
const SLOW: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Default)]
pub(super) struct Lobby(VecDeque<Peer>);

struct Peer {
    task: Weak<GreetingTask>,
    from: Option<IpAddr>,
    since: Instant,
}

impl Lobby {
    /// Whether there is room for one more, if need be because somebody was sent away: a flood of silent
    /// peers must not keep out those that speak, nor one address all the others.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        if self.0.len() < limits::GREETING_PEERS {
            return true;
        }
        // Those who have said what they want are looked for only when it matters.
        self.0
            .retain(|peer| peer.task.upgrade().is_some_and(|task| task.is_here()));
        if self.0.len() < limits::GREETING_PEERS {
            return true;
        }
        let age = |peer: &Peer| now.saturating_duration_since(peer.since);
        let silent = |peer: &Peer| {
            age(peer) >= SILENCE && peer.task.upgrade().is_none_or(|task| task.is_silent())
        };
        let index = self.0.iter().position(silent).or_else(|| {
            let crowd = self.crowd();
            let slow = |peer: &Peer| age(peer) >= SLOW && (crowd.is_none() || peer.from == crowd);
            self.0.iter().position(slow)
        });
        let Some(peer) = index.and_then(|index| self.0.remove(index)) else {
            return false;
        };
        if let Some(task) = peer.task.upgrade() {
            task.dismiss();
        }
        true
    }

    /// The address that most come from.
    fn crowd(&self) -> Option<IpAddr> {
        let mut counts = HashMap::new();
        for from in self.0.iter().filter_map(|peer| peer.from) {
            *counts.entry(from).or_insert(0_usize) += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(from, _)| from)
    }

    pub(super) fn enter(&mut self, task: &Arc<GreetingTask>, from: Option<IpAddr>, now: Instant) {
        self.0.push_back(Peer {
            task: Arc::downgrade(task),
            from,
            since: now,
        });
    }
}
