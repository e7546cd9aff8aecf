// SPDX-License-Identifier: MPL-2.0

//! Any bytes as live WebM, which must be split the same however they are cut; and what comes out is such
//! WebM that it is split into the same again. The corpus is WebM.

#![no_main]

use gst_plugin_rtmp_fuzz::Meter;
use gstrtmp::protocol::webm::{Block, Item, Splitter, Timecodes, WebmError};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static METER: Meter = Meter;

/// What a splitter keeps besides bytes: queues that grow by doubling, names of codecs.
const OWN: usize = 64 << 10;

/// A stream: what comes before its first block, and the blocks.
type Stream = (Vec<u8>, Vec<Block>);

fuzz_target!(|data: &[u8]| {
    for timecodes in [
        Timecodes::Source,
        Timecodes::WallClock,
        Timecodes::Continuing,
    ] {
        let start = Meter::start();
        let whole = split(data, data.len().max(1), timecodes);
        // A block has at most a Cluster's head more than it came with, and at least four bytes.
        assert!(Meter::peak(start) <= OWN + 64 * data.len());
        for size in [1, 7, 1 + data.len() % 61] {
            assert_eq!(split(data, size, timecodes), whole, "{timecodes:?}");
        }
        for (header, blocks) in &whole.0 {
            let mut bytes = header.clone();
            blocks.iter().for_each(|b| bytes.extend(&b.bytes));
            let (again, error) = split(&bytes, bytes.len(), Timecodes::Source);
            assert_eq!(error, None);
            if !blocks.is_empty() {
                assert_eq!(again, [(header.clone(), blocks.clone())]);
            }
        }
    }
});

fn split(
    data: &[u8],
    size: usize,
    timecodes: Timecodes,
) -> (Vec<Stream>, Option<WebmError>) {
    let mut splitter = Splitter::new(timecodes);
    let mut streams: Vec<Stream> = Vec::new();
    for piece in data.chunks(size) {
        let pushed = splitter.push(piece, 1_700_000_000_000);
        while let Some(item) = splitter.poll() {
            match (item, streams.last_mut()) {
                (Item::Header(header), _) => {
                    let _ = (header.content_type(), header.media_type());
                    streams.push((header.bytes.to_vec(), Vec::new()));
                }
                (Item::Block(block), Some((_, blocks))) => blocks.push(block),
                (Item::Block(block), None) => panic!("{block:?} before a header"),
            }
        }
        if let Err(error) = pushed {
            return (streams, Some(error));
        }
    }
    (streams, None)
}
