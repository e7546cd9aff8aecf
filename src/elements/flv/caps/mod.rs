// SPDX-License-Identifier: MPL-2.0

//! Caps of what FLV carries, both ways: tracks to caps for the demuxer, caps to tracks for the muxer.

pub(super) mod audio;
mod color;
pub(super) mod video;

use bytes::Bytes;

/// The bytes of a buffer, shared where it is in one piece.
pub(super) fn bytes_of(buffer: &gst::BufferRef) -> Option<Bytes> {
    let map = buffer.map_readable().ok()?;
    Some(Bytes::copy_from_slice(&map))
}

/// What caps have under `codec_data`.
fn codec_data(structure: &gst::StructureRef) -> Option<Bytes> {
    let data = structure.get::<gst::Buffer>("codec_data").ok()?;
    bytes_of(&data)
}

/// The first of what caps have under `streamheader`.
fn first_header(structure: &gst::StructureRef) -> Option<Bytes> {
    let headers = structure.get::<gst::ArrayRef>("streamheader").ok()?;
    let first = headers.as_slice().first()?.get::<gst::Buffer>().ok()?;
    bytes_of(&first)
}

/// What [`first_header`] reads.
fn stream_header<const N: usize>(headers: [Bytes; N]) -> gst::Array {
    gst::Array::new(headers.map(|header| {
        let mut buffer = gst::Buffer::from_slice(header);
        buffer.make_mut().set_flags(gst::BufferFlags::HEADER);
        buffer
    }))
}

/// A field that has to be a number above 0.
fn positive(structure: &gst::StructureRef, name: &str) -> Option<u32> {
    let number = structure.get::<i32>(name).ok()?;
    u32::try_from(number).ok().filter(|number| *number > 0)
}
