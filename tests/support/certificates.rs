// SPDX-License-Identifier: MPL-2.0

//! A certificate authority for one test.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// An authority whose certificate and whose clients' files live as long as it does.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// PEM files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Server,
    /// A server whose certificate ended in 2020.
    ExpiredServer,
    Client,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let dir = TempDir::with_prefix("certificates").expect("a folder");
        fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("ca.pem");
        Self { issuer, dir }
    }

    /// The authority's own certificate, what a client trusts.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Issues a certificate for these names and IP addresses. For a client the first is its name.
    pub fn issue(&self, purpose: For, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names");
        let common = names.first().map_or("nobody", String::as_str);
        params.distinguished_name.push(DnType::CommonName, common);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match purpose {
            For::Client => ExtendedKeyUsagePurpose::ClientAuth,
            For::Server | For::ExpiredServer => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        if purpose == For::ExpiredServer {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let dir = tempfile::tempdir_in(self.dir.path())
            .expect("a folder")
            .keep();
        let files = Certificate {
            certificate: dir.join("certificate.pem"),
            key: dir.join("key.pem"),
        };
        fs::write(&files.certificate, certificate.pem()).expect("certificate.pem");
        fs::write(&files.key, key.serialize_pem()).expect("key.pem");
        files
    }
}
