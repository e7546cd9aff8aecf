// SPDX-License-Identifier: MPL-2.0

//! `webmhttpsink`: live WebM over HTTP.
//!
//! The element knows GStreamer and hands blocks on; the `station` answers requests and knows who
//! watches; who is sent what and when is the business of [`fanout`](crate::net::fanout).

mod imp;
mod journal;
mod kinds;
mod page;
mod properties;
mod settings;
mod signals;
mod station;
mod stats;

use glib::prelude::*;

pub use kinds::*;

glib::wrapper! {
    /// `webmhttpsink` serves a live WebM or Matroska stream to any number of browsers and players.
    ///
    /// A test picture with sound, to be looked at on `http://localhost:8080/live/player`:
    /// ```text
    /// gst-launch-1.0 webmmux name=mux streamable=true ! webmhttpsink port=8080 path=/live sync=false \
    ///     videotestsrc is-live=true ! vp8enc deadline=1 keyframe-max-dist=30 ! mux. \
    ///     audiotestsrc is-live=true ! opusenc ! mux.
    /// ```
    ///
    /// What a player is sent begins at the latest key frame, so a key frame a second makes for a short
    /// wait and a small delay. `http://localhost:8080/` lists every stream of the port; streams of
    /// several elements, of one pipeline or several, share a port with a path each.
    ///
    /// In a page of your own, `<video src="http://host:8080/live" autoplay muted>` is all it takes; it
    /// plays on by itself after a restart of the pipeline or of the network. `player=true` adds a page with
    /// a low-latency mode.
    ///
    /// Over HTTPS, for those who have a signed link:
    /// ```text
    /// … ! webmhttpsink port=8443 path=/live tls-certificate=cert.pem tls-private-key=key.pem url-secret=$SECRET
    /// ```
    pub struct WebmHttpSink(ObjectSubclass<imp::WebmHttpSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "webmhttpsink",
        gst::Rank::NONE,
        WebmHttpSink::static_type(),
    )
}
