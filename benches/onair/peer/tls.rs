// SPDX-License-Identifier: MPL-2.0

//! A throw-away certificate authority and the rustls configurations of both ends.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Writes `ca.pem`, `cert.pem` (for localhost and 127.0.0.1) and `key.pem` into `dir`.
pub(crate) fn make_certificates(dir: &Path) -> Result<(), String> {
    let make = || -> Result<(String, String, String), rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = CertificateParams::new(names)?.signed_by(&key, &ca)?;
        Ok((ca.pem(), leaf.pem(), key.serialize_pem()))
    };
    let (ca, leaf, key) = make().map_err(|e| format!("certificates: {e}"))?;
    for (name, text) in [("ca.pem", ca), ("cert.pem", leaf), ("key.pem", key)] {
        fs::write(dir.join(name), text).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

pub(crate) fn server(dir: &Path) -> Result<Arc<ServerConfig>, String> {
    let make = || -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let chain = CertificateDer::pem_file_iter(dir.join("cert.pem"))?;
        let key = PrivateKeyDer::from_pem_file(dir.join("key.pem"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain.collect::<Result<_, _>>()?, key)?)
    };
    make().map(Arc::new).map_err(|e| format!("TLS server: {e}"))
}

pub(crate) fn client(dir: &Path) -> Result<Arc<ClientConfig>, String> {
    let make = || -> Result<ClientConfig, Box<dyn std::error::Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join("ca.pem"))?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    };
    make().map(Arc::new).map_err(|e| format!("TLS client: {e}"))
}
