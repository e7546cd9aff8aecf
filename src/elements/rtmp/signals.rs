// SPDX-License-Identifier: MPL-2.0

//! The signal of both elements as callers; those of listeners are in `callers`.

use gio::TlsCertificateFlags;
use glib::{prelude::*, subclass::Signal};

use super::callers;
use crate::{net::porter::ReconnectRequest, protocol::rtmp::url::TcUrl};

/// What an element does for `request-reconnect`: asks all callers, or the one of this number, and returns
/// how many.
pub(super) type RequestReconnect = fn(&gst::Element, ReconnectRequest, u64) -> u32;

pub(super) fn all(category: gst::DebugCategory, request: RequestReconnect) -> Vec<Signal> {
    let mut all = vec![accept_certificate(), request_reconnect(category, request)];
    all.extend(callers::signals());
    all
}

/**
 * accept-certificate:
 * @certificate: the server's certificate and those it sent with it, in PEM, the server's first
 * @errors: what is wrong with it, of what `tls-validation-flags` asks to check
 *
 * Asks whether to go on with a server whose certificate failed, as rtspsrc and souphttpsrc do. The
 * TLS library below is not GIO's, therefore the certificate comes as text, which
 * g_tls_certificate_new_from_pem() and every other library reads.
 *
 * The handler must answer without waiting, for a person or for anything else. rtmpsrc emits the
 * signal from its streaming thread, but rtmpsink from a thread that it shares with every other
 * rtmpsink and listener of the process: all of them stand still until the handler returns.
 *
 * Returns: %TRUE to go on. Without a handler, or if all return %FALSE, an error is posted.
 */
#[allow(unused_doc_comments)]
pub(in crate::elements) fn accept_certificate() -> Signal {
    Signal::builder("accept-certificate")
        .param_types([String::static_type(), TlsCertificateFlags::static_type()])
        .return_type::<bool>()
        .run_last()
        .accumulator(|_hint, _before, answer| {
            if answer.get().unwrap_or(false) {
                std::ops::ControlFlow::Break(answer.clone())
            } else {
                std::ops::ControlFlow::Continue(answer.clone())
            }
        })
        .build()
}

/**
 * request-reconnect:
 * @url: where to, as `rtmp://host:port/application`, `//host/application` or `/application`; %NULL for this
 *   server, or for whatever its name leads to by then
 * @description: for people, or %NULL
 * @id: the number that caller-added gave, or 0 for all
 *
 * As listener: asks callers to go on over another connection, to the same stream at another server
 * (ReconnectRequest of Enhanced RTMP v2). They are served until they leave. Those who did not say when they
 * came that they understand this (`can-reconnect` in `stats`) are not asked. A listener that is to let its
 * own publisher in again needs `keep-listening`.
 *
 * Returns: how many were asked (uint). 0 also where @url is none, which is logged.
 */
#[allow(unused_doc_comments)]
fn request_reconnect(category: gst::DebugCategory, request: RequestReconnect) -> Signal {
    let string = String::static_type();
    Signal::builder("request-reconnect")
        .param_types([string, string, u64::static_type()])
        .return_type::<u32>()
        .action()
        .class_handler(move |args| {
            let element = args[0].get::<gst::Element>().expect("the element");
            let tc_url = args[1].get::<Option<String>>().expect("a string");
            let description = args[2].get::<Option<String>>().expect("a string");
            let id = args[3].get::<u64>().expect("a number");
            let base = TcUrl::parse("rtmp://localhost/live").expect("a URL");
            if let Some(error) = tc_url.as_ref().and_then(|url| base.join(url).err()) {
                gst::error!(category, obj = element, "request-reconnect: {error}");
                return Some(0u32.to_value());
            }
            let letter = ReconnectRequest {
                tc_url,
                description,
            };
            Some(request(&element, letter, id).to_value())
        })
        .build()
}
