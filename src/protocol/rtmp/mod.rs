// SPDX-License-Identifier: MPL-2.0

//! RTMP 1.0 (Adobe, 2012) and Enhanced RTMP v2 (Veovera, 2026), without I/O.

pub mod amf;
pub mod chunk;
pub mod limits;
pub mod transmit;
pub mod url;
