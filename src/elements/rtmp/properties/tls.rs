// SPDX-License-Identifier: MPL-2.0

//! TLS, for the schemes that have it.

use std::path::PathBuf;

use gio::TlsCertificateFlags;
use gst::prelude::*;

use super::{Property, given, property, text};
use crate::elements::rtmp::settings::Settings;

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        /**
         * tls-validation-flags:
         *
         * What makes a server's certificate unacceptable. 0 accepts every certificate, and so
         * everybody who sits between; rather name your own authority in `tls-ca-file`, or look at
         * the certificate in the signal `accept-certificate`.
         */
        property(
            glib::ParamSpecFlags::builder::<TlsCertificateFlags>("tls-validation-flags")
                .nick("TLS validation flags")
                .blurb("What to check of the server's certificate; 0 accepts any and protects nothing")
                .default_value(defaults.tls_validation_flags)
                .mutable_ready()
                .build(),
            |s| s.tls_validation_flags.to_value(),
            |s, v| s.tls_validation_flags = given(v),
        ),
        text(
            "tls-ca-file",
            "TLS authorities",
            "PEM file of the authorities to trust instead of the system's; unset for the system's; of a \
             listener: those that callers' certificates must be from, unset to ask for none",
            |s| path(&s.tls_ca_file),
            |s, v| s.tls_ca_file = given(v),
        ),
        text(
            "tls-certificate",
            "TLS certificate",
            "PEM file of our own certificate and its chain, for peers that ask for one; a listener for \
             rtmps needs it",
            |s| path(&s.tls_certificate),
            |s, v| s.tls_certificate = given(v),
        ),
        text(
            "tls-private-key",
            "TLS private key",
            "PEM file of the key of tls-certificate; unset, it is looked for in the same file",
            |s| path(&s.tls_private_key),
            |s, v| s.tls_private_key = given(v),
        ),
        text(
            "tls-server-name",
            "TLS server name",
            "Name to ask for (SNI) and to expect in the certificate; unset, it is the host's",
            |s| s.tls_server_name.to_value(),
            |s, v| s.tls_server_name = given(v),
        ),
    ]
}

fn path(file: &Option<PathBuf>) -> glib::Value {
    file.as_ref()
        .map(|f| f.to_string_lossy().into_owned())
        .to_value()
}
