// SPDX-License-Identifier: MPL-2.0

//! `wcswebrtcbin`: streams to and from a Web Call Server.
//!
//! The element knows pads, properties and webrtcbin; the dialogue with the server is the business of
//! [`net::wcs`](crate::net::wcs), and what may be said when of [`protocol::wcs`](crate::protocol::wcs).
//!
//! ```text
//! imp       the class; what it has in common with its thread is here
//! control   the thread that decides
//! peer      one webrtcbin for each call
//! proof     whether its certificates are those that were promised
//! resend    what the server misses is sent again
//! inlet     a sink pad, with its payloader and its gate
//! outlet    source pads, with their depayloader
//! tell      messages, warnings and errors
//! ```

mod codec;
mod control;
pub mod description;
mod imp;
mod inlet;
mod json;
mod kinds;
mod outlet;
mod peer;
mod proof;
mod properties;
mod resend;
mod settings;
mod signals;
mod tell;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use glib::prelude::*;
use gst::prelude::*;

pub use kinds::*;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "wcswebrtcbin",
        gst::DebugColorFlags::empty(),
        Some("Web Call Server"),
    )
});

glib::wrapper! {
    /// `wcswebrtcbin` publishes to a Web Call Server and plays from it, by its Raw WebSocket API and
    /// WebRTC.
    ///
    /// A test picture with sound, on the air as `demo`:
    /// ```text
    /// gst-launch-1.0 wcswebrtcbin name=wcs uri=wss://host:8443 stream-name=demo action=publish \
    ///     videotestsrc is-live=true ! vp8enc deadline=1 keyframe-max-dist=60 ! wcs. \
    ///     audiotestsrc is-live=true ! opusenc ! wcs.
    /// ```
    ///
    /// The same into a file:
    /// ```text
    /// gst-launch-1.0 -e matroskamux name=mux ! filesink location=demo.mkv \
    ///     wcswebrtcbin name=wcs uri=wss://host:8443 stream-name=demo action=play \
    ///     wcs. ! video/x-vp8 ! queue ! mux.video_0 wcs. ! audio/x-opus ! queue ! mux.audio_0
    /// ```
    ///
    /// Pads take and give encoded streams, `video_%u` and `audio_%u`, `video_src_%u` and `audio_src_%u`, or
    /// RTP as webrtcbin has it, `sink_%u` and `src_%u` (`output=rtp`). What comes in before the server takes
    /// it is dropped, and the encoder is asked for a key frame when it does; a source pad that nobody links
    /// is drained. `action=play` makes the element a live source.
    ///
    /// A server that is lost is tried again, see `reconnect`, and the pipeline goes on
    /// meanwhile. What happens is told by `session-status` and `stream-status`, by element messages
    /// (`wcs-session-status`, `wcs-stream-status`, `wcs-retry`, `wcs-inbound-video-rate`,
    /// `wcs-outbound-video-rate`, `wcs-stream-event`, `wcs-available`, `wcs-data` and others), and by
    /// signals.
    ///
    /// The certificate that media are encrypted with is compared with what the server promised over the
    /// WebSocket, before any of them pass; so `wss` protects them too.
    pub struct WcsWebrtcBin(ObjectSubclass<imp::WcsWebrtcBin>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "wcswebrtcbin",
        gst::Rank::NONE,
        WcsWebrtcBin::static_type(),
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says that an element of GStreamer's is not installed, to applications that can install it too.
fn missing(element: &gst::Element, factory: &str) {
    let structure = gst::Structure::builder("missing-plugin")
        .field("type", "element")
        .field("detail", factory)
        .field("name", format!("GStreamer element {factory}"))
        .build();
    let _ = element.post_message(
        gst::message::Element::builder(structure)
            .src(element)
            .build(),
    );
    gst::element_error!(
        element,
        gst::CoreError::MissingPlugin,
        ("The element {factory} is missing; install GStreamer's good and bad plugins and that of libnice \
          (Debian: gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, gstreamer1.0-nice).")
    );
}
