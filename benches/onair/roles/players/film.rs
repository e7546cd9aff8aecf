// SPDX-License-Identifier: MPL-2.0

//! An FLV film of ten seconds, again and again, each tag when it is due.

use std::time::{Duration, Instant};

use crate::media;
use crate::peer::wire;

#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) tags: Vec<FilmTag>,
    /// Milliseconds that a round lasts.
    round: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct FilmTag {
    pub(crate) kind: u8,
    pub(crate) time_ms: u32,
    pub(crate) body: Vec<u8>,
    /// Configuration and metadata, sent in the first round only.
    pub(crate) head: bool,
    pub(crate) key: bool,
}

impl FilmTag {
    /// The tag as a file has it.
    pub(crate) fn flv(&self, time_ms: u32) -> Vec<u8> {
        let size = (self.body.len() as u32).to_be_bytes();
        let at = time_ms.to_be_bytes();
        let mut bytes = vec![
            self.kind, size[1], size[2], size[3], at[1], at[2], at[3], at[0],
        ];
        bytes.extend_from_slice(&[0; 3]);
        bytes.extend_from_slice(&self.body);
        bytes.extend_from_slice(&(self.body.len() as u32 + 11).to_be_bytes());
        bytes
    }
}

impl Film {
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let flv = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        let tags: Vec<FilmTag> = media::tags(&flv)
            .map(|tag| {
                let coded =
                    matches!(tag.kind, wire::AUDIO | wire::VIDEO) && tag.body.get(1) == Some(&1);
                FilmTag {
                    kind: tag.kind,
                    time_ms: tag.time_ms,
                    head: !coded,
                    key: coded
                        && tag.kind == wire::VIDEO
                        && tag.body.first().is_some_and(|b| b >> 4 == 1),
                    body: tag.body.to_vec(),
                }
            })
            .collect();
        let last = tags.iter().map(|tag| tag.time_ms).max();
        Ok(Self {
            round: last.ok_or(format!("{path} is empty"))? + 40,
            tags,
        })
    }

    /// Calls `send` for each tag when it is due, with its time in the whole; `idle` while none is.
    pub(crate) fn play(
        &self,
        mut send: impl FnMut(&FilmTag, u32) -> Result<(), String>,
        mut idle: impl FnMut(Duration) -> Result<(), String>,
    ) -> Result<(), String> {
        let start = Instant::now();
        for round in 0.. {
            for tag in &self.tags {
                if round > 0 && tag.head {
                    continue;
                }
                let time = round * self.round + tag.time_ms;
                loop {
                    let wait = Duration::from_millis(time.into()).saturating_sub(start.elapsed());
                    if wait.is_zero() {
                        break;
                    }
                    idle(wait)?;
                }
                send(tag, time)?;
            }
        }
        Ok(())
    }
}
