// SPDX-License-Identifier: MPL-2.0

//! The check of a server's certificate, one flag per finding.
//!
//! webpki stops at the first thing it does not like. An operator who turns one check off means
//! that one only, so the search goes on behind each finding: an expired certificate is looked at
//! again as of its last day, and the name is checked whatever the chain was like.

use std::{fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::ParsedCertificate,
};

use super::{AcceptCertificate, CertificateProblem, ValidationFlags, der};

/// A certificate that was refused, on its way through rustls.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: String,
    pub(super) flags: ValidationFlags,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Refused {}

pub(super) struct Verifier {
    pub(super) roots: Arc<RootCertStore>,
    /// What the CA file holds, to be trusted as it is and not only as an authority: `openssl req
    /// -x509` marks a server's self-signed certificate as an authority, which webpki then does not
    /// take for a server's.
    pub(super) pinned: Vec<CertificateDer<'static>>,
    pub(super) flags: ValidationFlags,
    pub(super) accept: Option<AcceptCertificate>,
    pub(super) host: String,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut found = Findings {
            flags: ValidationFlags::empty(),
            reasons: Vec::new(),
        };
        match ParsedCertificate::try_from(end_entity) {
            Ok(certificate) => {
                self.check_chain(&certificate, end_entity, intermediates, now, &mut found);
                if let Err(error) = verify_server_name(&certificate, server_name) {
                    found.add(ValidationFlags::BAD_IDENTITY, wrong_name(&error));
                }
            }
            Err(error) => self.unreadable(end_entity, &error, &mut found),
        }
        if (found.flags & self.flags).is_empty() {
            return Ok(ServerCertVerified::assertion());
        }
        let reason = format!(
            "the TLS certificate of {} {}",
            self.host,
            found.reasons(self.flags).join(", and ")
        );
        if let Some(accept) = &self.accept {
            let problem = CertificateProblem {
                chain: std::iter::once(end_entity)
                    .chain(intermediates)
                    .map(|certificate| certificate.to_vec())
                    .collect(),
                flags: found.flags,
                host: self.host.clone(),
                reason: reason.clone(),
            };
            if accept(&problem) {
                return Ok(ServerCertVerified::assertion());
            }
        }
        let refused = Refused {
            reason,
            flags: found.flags & self.flags,
        };
        Err(Error::InvalidCertificate(CertificateError::Other(
            OtherError(Arc::new(refused)),
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match der::public_key(certificate) {
            Some(key) if ParsedCertificate::try_from(certificate).is_err() => {
                self.verify_with_key(message, key, signature)
            }
            _ => verify_tls12_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match der::public_key(certificate) {
            Some(key) if ParsedCertificate::try_from(certificate).is_err() => {
                let key = SubjectPublicKeyInfoDer::from(key);
                verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
            }
            _ => verify_tls13_signature(message, certificate, signature, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// What rustls does in TLS 1.2, which has no form for a key alone.
    fn verify_with_key(
        &self,
        message: &[u8],
        key: &[u8],
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (algorithm, bits) = der::algorithm_and_bits(key).unwrap_or_default();
        let algorithms = self.algorithms.mapping.iter();
        let known = algorithms
            .filter(|(scheme, _)| *scheme == signature.scheme)
            .flat_map(|(_, algorithms)| *algorithms)
            .filter(|known| known.public_key_alg_id().as_ref() == algorithm);
        for known in known {
            if known
                .verify_signature(bits, message, signature.signature())
                .is_ok()
            {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(Error::InvalidCertificate(CertificateError::BadSignature))
    }

    /// `openssl x509 -req` makes a certificate of version 1 unless it is told of extensions. Servers
    /// run with such, and operators who turn the checks off, or pin it, mean just these.
    fn unreadable(&self, end_entity: &CertificateDer<'_>, error: &Error, found: &mut Findings) {
        if !matches!(der::version(end_entity), Some(1)) {
            let (flags, reason) = generic(&error.to_string());
            return found.add(flags | ValidationFlags::BAD_IDENTITY, reason);
        }
        if !self.pinned.iter().any(|pinned| pinned == end_entity) {
            found.add(
                ValidationFlags::GENERIC_ERROR | ValidationFlags::UNKNOWN_CA,
                "is of X.509 version 1 and cannot be checked (openssl makes version 3 when it is \
                 given extensions)"
                    .to_owned(),
            );
        }
        found.add(ValidationFlags::BAD_IDENTITY, NO_NAME.to_owned());
    }

    fn check_chain(
        &self,
        certificate: &ParsedCertificate<'_>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        found: &mut Findings,
    ) {
        let mut at = now;
        // Each round moves the clock for one certificate of the chain; webpki allows 8.
        for _ in 0..8 {
            let result = verify_server_cert_signed_by_trust_anchor(
                certificate,
                &self.roots,
                intermediates,
                at,
                self.algorithms.all,
            );
            match result {
                Ok(()) => return,
                Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                    not_after,
                    ..
                })) if not_after < now => {
                    let days = days(now, not_after);
                    found.add(ValidationFlags::EXPIRED, format!("expired {days} ago"));
                    at = not_after;
                }
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) if not_before > now => {
                    let days = days(not_before, now);
                    found.add(
                        ValidationFlags::NOT_ACTIVATED,
                        format!("is not valid before {days} from now (is the clock right?)"),
                    );
                    at = not_before;
                }
                Err(_) if self.pinned.iter().any(|pinned| pinned == end_entity) => return,
                Err(error) => {
                    let (flags, reason) = untrusted(&error, der::is_self_issued(end_entity));
                    return found.add(flags, reason);
                }
            }
        }
        found.add(
            ValidationFlags::GENERIC_ERROR | ValidationFlags::UNKNOWN_CA,
            "has a chain of certificates that were never valid at the same time".to_owned(),
        );
    }
}

struct Findings {
    flags: ValidationFlags,
    reasons: Vec<(ValidationFlags, String)>,
}

impl Findings {
    fn add(&mut self, flags: ValidationFlags, reason: String) {
        self.flags |= flags;
        self.reasons.push((flags, reason));
    }

    /// The reasons that count for the checks in `flags`.
    fn reasons(&self, flags: ValidationFlags) -> Vec<&str> {
        self.reasons
            .iter()
            .filter(|(flag, _)| !(*flag & flags).is_empty())
            .map(|(_, reason)| reason.as_str())
            .collect()
    }
}

/// A chain that leads nowhere vouches for nothing, so every finding here includes `UNKNOWN_CA`:
/// turning off, say, `INSECURE` alone must not let a forged chain pass.
fn untrusted(error: &Error, self_issued: bool) -> (ValidationFlags, String) {
    use CertificateError as E;
    let Error::InvalidCertificate(error) = error else {
        return generic(&error.to_string());
    };
    match error {
        E::UnknownIssuer | E::Other(_) if self_issued => (
            ValidationFlags::UNKNOWN_CA,
            "is self-signed, so no trusted authority vouches for it".to_owned(),
        ),
        E::UnknownIssuer => (
            ValidationFlags::UNKNOWN_CA,
            "is issued by an unknown authority, or the server does not send the certificates in \
             between"
                .to_owned(),
        ),
        // An authority that was set up again under its old name, with a new key.
        E::BadSignature | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => (
            ValidationFlags::UNKNOWN_CA,
            "is signed with another key than that of the trusted authority of the same name"
                .to_owned(),
        ),
        E::UnsupportedSignatureAlgorithmContext { .. } => (
            ValidationFlags::INSECURE | ValidationFlags::UNKNOWN_CA,
            "is signed with an algorithm that is not secure or not supported".to_owned(),
        ),
        E::Revoked => (
            ValidationFlags::REVOKED | ValidationFlags::UNKNOWN_CA,
            "was revoked".to_owned(),
        ),
        error => generic(&error.to_string()),
    }
}

fn generic(text: &str) -> (ValidationFlags, String) {
    (
        ValidationFlags::GENERIC_ERROR | ValidationFlags::UNKNOWN_CA,
        format!("cannot be used: {text}"),
    )
}

const NO_NAME: &str = "names no host (a host in the common name alone no longer counts)";

fn wrong_name(error: &Error) -> String {
    let Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) =
        error
    else {
        return "is for another host".to_owned();
    };
    // webpki shows names as `DnsName("example.org")` and `IpAddress(127.0.0.1)`.
    let names = presented
        .iter()
        .take(8)
        .map(|name| match name.split_once('(') {
            Some((_, name)) => name.trim_end_matches(')').trim_matches('"'),
            None => name,
        })
        .collect::<Vec<_>>();
    if names.is_empty() {
        return NO_NAME.to_owned();
    }
    format!("is for {} and not for this host", names.join(", "))
}

fn days(later: UnixTime, earlier: UnixTime) -> String {
    match later.as_secs().saturating_sub(earlier.as_secs()) / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
