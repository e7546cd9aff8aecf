// SPDX-License-Identifier: MPL-2.0

//! A WebM file of webmmux, cut as webmmux cuts it, and when each piece is due. Knows just enough of
//! EBML for that; the crate's reader is what is measured.

use std::ops::Range;
use std::time::{Duration, Instant};

const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const TIMECODE: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;

/// Everything before the first Cluster, and the blocks.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: Range<usize>,
    pub(crate) blocks: Vec<Piece>,
}

/// A block, with the head of the Cluster if it is the first there.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) cluster: Range<usize>,
    /// The element's head and what comes before the frame.
    pub(crate) head: Range<usize>,
    pub(crate) frame: Range<usize>,
    pub(crate) due: Duration,
    /// A client may begin here.
    pub(crate) key: bool,
}

impl Piece {
    /// All in one piece, as they lie in the file.
    pub(crate) fn whole(&self) -> Range<usize> {
        match self.cluster.is_empty() {
            true => self.head.start..self.frame.end,
            false => self.cluster.start..self.frame.end,
        }
    }
}

impl Feed {
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
        Self::cut(bytes).ok_or(format!("{path} is not what webmmux writes"))
    }

    fn cut(bytes: Vec<u8>) -> Option<Self> {
        let (mut at, mut header) = (0, None);
        let (mut cluster, mut base, mut latest) = (0..0, 0, 0);
        let mut blocks = Vec::new();
        while let Some((id, body, length)) = element(&bytes, at) {
            let next = body + length.unwrap_or(0);
            match id {
                SEGMENT => {}
                CLUSTER => {
                    header.get_or_insert(0..at);
                    cluster = at..body;
                }
                TIMECODE => {
                    let value = bytes.get(body..next)?;
                    base = value
                        .iter()
                        .fold(0, |all, byte| all << 8 | i64::from(*byte));
                    cluster.end = next;
                }
                SIMPLE_BLOCK | BLOCK_GROUP => {
                    if next > bytes.len() {
                        break;
                    }
                    // Track, relative time and flags; in a BlockGroup two heads deeper at the most.
                    let inner = if id == BLOCK_GROUP {
                        element(&bytes, body)?.1
                    } else {
                        body
                    };
                    let time: &[u8; 4] = bytes.get(inner..)?.first_chunk()?;
                    let time = base + i64::from(i16::from_be_bytes([time[1], time[2]]));
                    latest = latest.max(time);
                    blocks.push(Piece {
                        key: !cluster.is_empty(),
                        cluster: std::mem::replace(&mut cluster, 0..0),
                        head: at..inner + 4,
                        frame: inner + 4..next,
                        due: Duration::from_millis(latest.try_into().ok()?),
                    });
                }
                // Tags and the like before the first Cluster; PrevSize in one.
                _ if header.is_some() && !cluster.is_empty() => cluster.end = next,
                _ => {}
            }
            at = next;
        }
        Some(Self {
            header: header?,
            bytes,
            blocks,
        })
    }

    pub(crate) fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Calls `send` for each block when it is due.
    pub(crate) fn play(
        &self,
        mut send: impl FnMut(&Piece) -> Result<(), String>,
    ) -> Result<(), String> {
        let start = Instant::now();
        for piece in &self.blocks {
            let wait = piece.due.saturating_sub(start.elapsed());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            send(piece)?;
        }
        Ok(())
    }
}

/// Id, where the content begins, and how long it is; `None` for a length that is not known.
pub(crate) fn element(bytes: &[u8], at: usize) -> Option<(u32, usize, Option<usize>)> {
    let first = *bytes.get(at)?;
    let id_length = first.leading_zeros() as usize + 1;
    let id = bytes.get(at..at + id_length.min(4))?;
    let id = id.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
    let at = at + id_length;
    let first = *bytes.get(at)?;
    let length = first.leading_zeros() as usize + 1;
    let size = bytes.get(at..at + length)?;
    let size = size.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    let mask = (1_u64 << (7 * length)) - 1;
    let known = (size & mask != mask).then_some((size & mask) as usize);
    Some((id, at + length, known))
}
