// SPDX-License-Identifier: MPL-2.0

//! The message streams of a connection. Nearly all have one; a tree would have room for eleven, and
//! there are thousands of players.

use super::Activity;

/// By number, in no order.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<(u32, Activity)>);

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Activity)> {
        self.0.iter().map(|(id, activity)| (*id, activity))
    }

    pub(super) fn get(&self, id: u32) -> Option<&Activity> {
        self.iter().find(|(known, _)| *known == id).map(|(_, a)| a)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Activity> {
        let known = self.0.iter_mut().find(|(known, _)| *known == id);
        known.map(|(_, activity)| activity)
    }

    pub(super) fn insert(&mut self, id: u32, activity: Activity) {
        match self.get_mut(id) {
            Some(known) => *known = activity,
            None => {
                self.0.reserve_exact(1);
                self.0.push((id, activity));
            }
        }
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.0.retain(|(known, _)| *known != id);
    }
}
