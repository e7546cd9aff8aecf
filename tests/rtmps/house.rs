// SPDX-License-Identifier: MPL-2.0

//! What the tests share: nginx behind TLS, and what a refusal has to say.

use std::sync::{Arc, Mutex};

use gio::TlsCertificateFlags;
use gst::{ResourceError, prelude::*};

use crate::support::{
    certificates::{Authority, For},
    nginx::{Nginx, NginxConfig, TlsConfig, TlsFront},
    pipeline::{Failure, Pipeline, quoted},
};

/// nginx behind TLS with a certificate of an authority that nobody knows.
pub(crate) struct House {
    pub(crate) nginx: Nginx,
    front: TlsFront,
    pub(crate) authority: Authority,
}

impl House {
    pub(crate) fn new(config: impl FnOnce(TlsConfig, &Authority) -> TlsConfig) -> Self {
        Self::with(For::Server, &["localhost", "127.0.0.1"], config)
    }

    pub(crate) fn with(
        purpose: For,
        names: &[&str],
        config: impl FnOnce(TlsConfig, &Authority) -> TlsConfig,
    ) -> Self {
        let nginx = Nginx::start(NginxConfig::default());
        let authority = Authority::new("Test authority");
        let certificate = authority.issue(purpose, names);
        let config = config(TlsConfig::new(certificate), &authority);
        let front = TlsFront::start(nginx.port(), &config);
        Self {
            nginx,
            front,
            authority,
        }
    }

    pub(crate) fn url(&self, host: &str, app: &str, stream: &str) -> String {
        self.front.url(host, app, stream)
    }

    /// The property that makes the authority known.
    pub(crate) fn ca(&self) -> String {
        ca(&self.authority)
    }
}

/// The property that makes an authority known.
pub(crate) fn ca(authority: &Authority) -> String {
    format!("tls-ca-file={}", file(&authority.file()))
}

/// A file's name as a property's value.
pub(crate) fn file(path: &std::path::Path) -> String {
    quoted(&path.display().to_string())
}

/// The element of this name fails with this code and one sentence that holds these words.
#[track_caller]
pub(crate) fn assert_fails(
    pipeline: &Pipeline,
    element: &str,
    code: ResourceError,
    words: &[&str],
) -> Failure {
    pipeline.play();
    let failure = pipeline.error_of(element);
    assert_eq!(failure.error.kind(), Some(code), "{failure:?}");
    failure.assert_sentence();
    let message = failure.error.message().to_lowercase();
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
    pipeline.stop_at_once(&format!("after {words:?}"));
    assert_eq!(
        pipeline.errors_left(element).len(),
        0,
        "more than {failure:?}"
    );
    failure
}

/// What an application was asked: the certificates and what is wrong with the first.
pub(crate) type Asked = Arc<Mutex<Vec<(String, TlsCertificateFlags)>>>;

/// Answers this element's questions about certificates.
pub(crate) fn answer(pipeline: &Pipeline, element: &str, accept: bool) -> Asked {
    let asked = Asked::default();
    let element = pipeline.element(element);
    element.connect("accept-certificate", false, {
        let asked = asked.clone();
        move |values| {
            let pem: String = values[1].get().expect("PEM");
            let flags: TlsCertificateFlags = values[2].get().expect("flags");
            asked.lock().unwrap().push((pem, flags));
            Some(accept.to_value())
        }
    });
    asked
}

/// It was asked once, about a certificate of an authority that is not known.
#[track_caller]
pub(crate) fn assert_asked_once(asked: &Asked) {
    let asked = asked.lock().unwrap();
    let [(pem, flags)] = &asked[..] else {
        panic!("asked {} times", asked.len());
    };
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
    assert_eq!(*flags, TlsCertificateFlags::UNKNOWN_CA);
}
