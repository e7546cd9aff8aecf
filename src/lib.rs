// SPDX-License-Identifier: MPL-2.0

//! # GStreamer on the air: RTMP
//!
//! The house has three storeys, and dependencies point down only (`tests/layering.rs` holds them to
//! it):
//!
//! ```text
//! elements/   what a pipeline sees: properties, pads, caps, signals, bus messages. Thin.
//!   rtmp/       rtmpsrc rtmpsink
//!   flv/        flvmuxbridge flvdemuxbridge
//!   webm/       webmhttpsink
//!   wcs/        wcswebrtcbin
//! net/        the only place with sockets, TLS, threads and timers
//! protocol/   pure: no GStreamer, no sockets, no threads, no clock or randomness of its own
//!   rtmp/       amf, chunk, message, handshake, session, url, auth, limits
//!   rtmpt/      the tunnel through HTTP, both ends
//!   flv/        tags as RTMP and files carry them
//!   webm/       EBML reader, header and joinable blocks
//!   http/       heads of requests and responses, who may watch
//!   wcs/        messages of the WCS Raw WebSocket API, its calls, its dialect of SDP
//! ```
//!
//! An application that does not want to depend on an installed plugin links this crate and calls
//! [`plugin_register_static()`] after `gst::init()`.

pub mod elements;
pub mod net;
pub mod protocol;
#[cfg(test)]
mod testing;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    elements::register(plugin)
}

// The macro adds public functions of its own.
#[allow(missing_docs)]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        rtmp,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MPL",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("BUILD_REL_DATE")
    );
}

pub use plugin::*;
