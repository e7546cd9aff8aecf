// SPDX-License-Identifier: MPL-2.0

//! From settings and files to what rustls takes.

use std::{
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use once_cell::sync::OnceCell;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SignatureScheme,
    client::ResolvesClientCert,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    super::{NetError, resolve::literal},
    ClientTls, ServerTls, ValidationFlags, der,
    reload::Reloading,
    verify::Verifier,
};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));

/// The system's authorities, read once: parsing them takes longer than a handshake. A failure is
/// not kept, since an administrator may mend it.
static SYSTEM_ROOTS: OnceCell<Arc<RootCertStore>> = OnceCell::new();

/// What it takes to start TLS with one server.
#[derive(Debug)]
pub(in crate::net) struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    asked: Arc<NoCertificate>,
}

impl Connector {
    pub(in crate::net) fn new(tls: &ClientTls, host: &str) -> Result<Self, NetError> {
        let host = tls.server_name.as_deref().unwrap_or(host);
        let (roots, pinned) = match &tls.ca_file {
            Some(file) => {
                let certificates = certificates(file)?;
                (authorities(&certificates, file)?, certificates)
            }
            None => (system_roots(tls)?, Vec::new()),
        };
        let verifier = Verifier {
            roots,
            pinned,
            flags: tls.flags,
            accept: tls.accept.clone(),
            host: host.to_owned(),
            algorithms: PROVIDER.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| NetError::settings(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let asked = Arc::<NoCertificate>::default();
        let config = match &tls.client_cert {
            Some((cert, key)) => {
                let key = SingleCertAndKey::from(certified_key(cert, key)?);
                builder.with_client_cert_resolver(Arc::new(key))
            }
            None => builder.with_client_cert_resolver(asked.clone()),
        };
        Ok(Self {
            config: Arc::new(config),
            name: server_name(host)?,
            asked,
        })
    }

    pub(in crate::net) fn connection(&self) -> Result<ClientConnection, NetError> {
        ClientConnection::new(self.config.clone(), self.name.clone())
            .map_err(|error| NetError::tls(error.to_string()))
    }

    /// Whether the server asked for a certificate and we had none.
    pub(in crate::net) fn certificate_missing(&self) -> bool {
        self.asked.0.load(Ordering::Relaxed)
    }
}

/// Shows no certificate, and remembers that one was wanted: what a server does about it differs
/// from an alert to a silent close, and the operator should hear the reason all the same.
#[derive(Debug, Default)]
struct NoCertificate(AtomicBool);

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // With `false`, rustls does not ask.
        true
    }
}

pub(super) fn check(tls: &ClientTls) -> Result<(), NetError> {
    if let Some(file) = &tls.ca_file {
        authorities(&certificates(file)?, file)?;
    }
    match &tls.client_cert {
        Some((cert, key)) => certified_key(cert, key).map(drop),
        None => Ok(()),
    }
}

pub(super) fn server(tls: &ServerTls) -> Result<Arc<ServerConfig>, NetError> {
    let builder = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| NetError::settings(error.to_string()))?;
    let builder = match &tls.client_ca {
        Some(file) => {
            let roots = authorities(&certificates(file)?, file)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, PROVIDER.clone())
                .build()
                .map_err(|error| NetError::settings(format!("{}: {error}", file.display())))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Reloading::new(tls)?));
    // librtmp 2.4 over GnuTLS adds what a ticket of TLS 1.3 gives for an error (-28) to the number of bytes
    // that it has read, and crashes. Without tickets who comes back shakes hands anew.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A certificate chain and its key, which fit together.
pub(super) fn certified_key(cert: &Path, key: &Path) -> Result<CertifiedKey, NetError> {
    let chain = certificates(cert)?;
    let made = match chain.first().map(|first| der::version(first)) {
        // What rustls cannot read, to see whether the key fits, it can show nevertheless: as a
        // client's, OpenSSL's servers take it.
        Some(Some(1)) => PROVIDER
            .key_provider
            .load_private_key(private_key(key)?)
            .map(|key| CertifiedKey::new(chain, key)),
        _ => CertifiedKey::from_der(chain, private_key(key)?, &PROVIDER),
    };
    made.map_err(|error| does_not_fit(cert, key, &error))
}

fn system_roots(tls: &ClientTls) -> Result<Arc<RootCertStore>, NetError> {
    let roots = SYSTEM_ROOTS.get_or_try_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            Err(())
        } else {
            Ok(Arc::new(roots))
        }
    });
    match roots {
        Ok(roots) => Ok(roots.clone()),
        // Without roots every authority is unknown, which may be allowed or accepted.
        Err(()) if tls.accept.is_some() || !tls.flags.contains(ValidationFlags::UNKNOWN_CA) => {
            Ok(Arc::new(RootCertStore::empty()))
        }
        Err(()) => Err(NetError::settings(
            "the system has no certificate authorities (package ca-certificates), so no TLS \
             server can be trusted; install them or name a file of authorities",
        )),
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, NetError> {
    if let Some(ip) = literal(host) {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    // The dot that makes a name absolute is not part of it in a certificate (RFC 6066 section 3).
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned())
        .map_err(|_| NetError::settings(format!("{host:?} is not a host name TLS could check")))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, NetError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        NetError::settings(format!(
            "no certificate can be read from {}: {error}",
            file.display()
        ))
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(unreadable(&"there is none in PEM form"));
    }
    Ok(certificates)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, NetError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| {
        NetError::settings(format!(
            "no private key can be read from {}: {error}",
            file.display()
        ))
    })
}

fn authorities(
    certificates: &[CertificateDer<'static>],
    file: &Path,
) -> Result<Arc<RootCertStore>, NetError> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if usable == 0 {
        let file = file.display();
        return Err(NetError::settings(format!(
            "{file} holds no usable certificate"
        )));
    }
    Ok(Arc::new(roots))
}

fn does_not_fit(cert: &Path, key: &Path, error: &rustls::Error) -> NetError {
    let (cert, key) = (cert.display(), key.display());
    NetError::settings(match error {
        rustls::Error::InconsistentKeys(_) => format!("{key} is not the key of {cert}"),
        error => format!("{cert} with {key} cannot be used: {error}"),
    })
}
