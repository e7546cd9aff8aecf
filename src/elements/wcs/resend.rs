// SPDX-License-Identifier: MPL-2.0

//! Sending again what a server misses.
//!
//! webrtcbin 1.22 answers NACK (RFC 4585, section 6.2.1) with retransmission streams alone (RFC 4588), and
//! swallows it where none is negotiated, as such servers' answers have it: `a=rtcp-fb:* nack` and no `rtx`.
//! They expect the lost packet itself once more, as libwebrtc sends it then. `rtprtxqueue` does that; it is put
//! where webrtcbin lets an estimator of bandwidth be put, behind its own element for retransmission. SRTP has
//! to be told that a packet may go out twice, or else it takes that for an attack on itself and fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use glib::translate::ToGlibPtr;
use gst::prelude::*;

/// Packets that can be asked for again: two seconds of 3 Mb/s. Whoever plays does not wait longer.
const HISTORY: usize = 512;

/// SRTP's window, in packets: those of the history are inside, whatever else was sent meanwhile.
pub(super) const WINDOW: u32 = 4096;

/// Lets this webrtcbin send again what was lost.
pub(super) fn provide(webrtc: &gst::Element) {
    webrtc.connect("request-aux-sender", false, |_| {
        let history = history();
        if let Some(history) = &history {
            // SAFETY: an object that is alive. The C side takes what it gets by g_object_ref_sink, and
            // would keep one reference too many of what is not floating.
            unsafe {
                glib::gobject_ffi::g_object_force_floating(history.as_object_ref().to_glib_none().0)
            };
        }
        Some(history.to_value())
    });
}

/// A queue that remembers what passes. A server may ask for as many packets again as it was sent, and for no
/// more: what it asks for is larger than the question.
fn history() -> Option<gst::Element> {
    let packets = u32::try_from(HISTORY).unwrap_or(u32::MAX);
    let queue = gst::ElementFactory::make("rtprtxqueue")
        .property("max-size-packets", packets)
        .build()
        .inspect_err(|error| gst::warning!(super::CAT, "Lost packets stay lost: {error}"))
        .ok()?;
    let (sink, src) = (queue.static_pad("sink")?, queue.static_pad("src")?);
    let allowance = Arc::new(AtomicUsize::new(0));
    let sent = allowance.clone();
    let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink.add_probe(data, move |_, info| {
        let packets = info.buffer_list().map_or(1, |list| list.len());
        let more = |left: usize| Some(left.saturating_add(packets).min(HISTORY));
        let _ = sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        gst::PadProbeReturn::Ok
    });
    src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let asks = info
            .event()
            .and_then(|event| event.structure())
            .is_some_and(|structure| structure.name() == "GstRTPRetransmissionRequest");
        let less = |left: usize| left.checked_sub(1);
        match asks
            && allowance
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                .is_err()
        {
            // DROP has 1.22 unreference an event that the bindings have taken.
            true => gst::PadProbeReturn::Handled,
            false => gst::PadProbeReturn::Ok,
        }
    });
    Some(queue)
}
