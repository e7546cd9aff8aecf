// SPDX-License-Identifier: MPL-2.0

//! TLS failures in words that say what to do.

use rustls::{AlertDescription as Alert, CertificateError, Error, PeerIncompatible};

use super::{super::NetError, ValidationFlags, verify::Refused};

/// Puts a failure of rustls into words. `certificate_missing` says that the peer asked for a
/// certificate and got none.
pub(super) fn sentence(error: &Error, certificate_missing: bool) -> NetError {
    if let Error::InvalidCertificate(error) = error {
        return invalid_certificate(error);
    }
    NetError::tls(match error {
        Error::AlertReceived(alert) => {
            return alert_received(*alert, certificate_missing);
        }
        Error::NoCertificatesPresented => {
            "the peer showed no certificate, and one is needed".to_owned()
        }
        Error::InvalidMessage(_) => "the peer does not speak TLS on this port".to_owned(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => OLD_VERSION.to_owned(),
        Error::PeerIncompatible(reason) => {
            format!("the peer and we have no TLS parameters in common ({reason:?})")
        }
        Error::PeerMisbehaved(reason) => format!("the peer breaks the TLS protocol ({reason:?})"),
        Error::DecryptError => "a TLS record was damaged on its way".to_owned(),
        error => format!("TLS failed: {error}"),
    })
}

const OLD_VERSION: &str = "the peer speaks no TLS version that is still secure (1.2 or 1.3)";

fn invalid_certificate(error: &CertificateError) -> NetError {
    if let CertificateError::Other(other) = error
        && let Some(refused) = other.0.downcast_ref::<Refused>()
    {
        return NetError::Tls {
            reason: refused.reason.clone(),
            flags: refused.flags,
        };
    }
    NetError::Tls {
        reason: format!("the peer's TLS certificate cannot be used: {error}"),
        flags: ValidationFlags::GENERIC_ERROR,
    }
}

fn alert_received(alert: Alert, certificate_missing: bool) -> NetError {
    if certificate_missing
        && matches!(
            alert,
            Alert::CertificateRequired
                | Alert::HandshakeFailure
                | Alert::BadCertificate
                | Alert::NoCertificate
                | Alert::CertificateUnknown
                | Alert::AccessDenied
        )
    {
        return our_certificate(CERTIFICATE_WANTED);
    }
    NetError::tls(match alert {
        Alert::CertificateRequired => return our_certificate(CERTIFICATE_WANTED),
        Alert::ProtocolVersion | Alert::InsufficientSecurity => OLD_VERSION.to_owned(),
        Alert::HandshakeFailure => {
            "the peer and we have no TLS parameters in common (handshake failure)".to_owned()
        }
        Alert::UnrecognisedName => "the server does not know the host name we asked for".to_owned(),
        Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::AccessDenied => {
            return our_certificate(format!("the peer refused our certificate ({alert:?})"));
        }
        alert => format!("the peer ended TLS ({alert:?})"),
    })
}

/// It is about who we are, in contrast to a fault of the connection.
fn our_certificate(reason: impl Into<String>) -> NetError {
    NetError::Tls {
        reason: reason.into(),
        flags: ValidationFlags::GENERIC_ERROR,
    }
}

const CERTIFICATE_WANTED: &str =
    "the server wants a client certificate, and none is set; set one and its key";

/// The sentence for a connection that ended before TLS stood.
pub(super) fn closed_in_handshake(anything_came: bool, certificate_missing: bool) -> NetError {
    if certificate_missing {
        return our_certificate(CERTIFICATE_WANTED);
    }
    NetError::tls(if anything_came {
        "the peer closed the connection in the middle of the TLS handshake"
    } else {
        "the peer closed the connection instead of answering in TLS; does it speak TLS on this \
         port?"
    })
}

/// What a peer that does not speak TLS spoke instead, to judge by its first bytes.
pub(super) fn first_bytes(bytes: &[u8]) -> Option<NetError> {
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    let spoken = match bytes {
        [] | [ALERT | HANDSHAKE, ..] => return None,
        [3 | 6 | 8 | 9, ..] => "plain RTMP",
        [b'H' | b'G' | b'P' | b'O', ..] => "plain HTTP",
        _ => "something else",
    };
    Some(NetError::tls(format!(
        "the peer does not speak TLS on this port but {spoken}"
    )))
}
