// SPDX-License-Identifier: MPL-2.0

//! The signal of both elements as callers; those of listeners are in `callers`.

use gio::TlsCertificateFlags;
use glib::{prelude::*, subclass::Signal};

use super::callers;

pub(super) fn all() -> Vec<Signal> {
    let mut all = vec![accept_certificate()];
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
