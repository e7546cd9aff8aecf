// SPDX-License-Identifier: MPL-2.0

//! Whom a TLS connection trusts, and in which words it says why not.
//!
//! Clients check the peer's certificate against the system's authorities, or those in a file, and
//! against the host name. Each check can be turned off by its [`ValidationFlags`] bit, and a hook
//! can let a particular certificate through. What cannot be turned off is that the peer has to
//! prove that it owns the key of the certificate it shows.
//!
//! The connection itself is run by [`stack`](super::stack).

mod config;
mod der;
mod reload;
mod sentence;
mod session;
#[cfg(test)]
mod tests;
mod verify;

use std::{fmt, path::PathBuf, sync::Arc};

pub(super) use config::Connector;
pub(super) use session::Session;

use super::NetError;

/// Checks of a peer's certificate, with the bits of GLib's `GTlsCertificateFlags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValidationFlags(u32);

impl ValidationFlags {
    /// No authority that we trust vouches for the certificate.
    pub const UNKNOWN_CA: Self = Self(1);
    /// The certificate is for another host.
    pub const BAD_IDENTITY: Self = Self(2);
    /// The certificate is not valid yet.
    pub const NOT_ACTIVATED: Self = Self(4);
    /// The certificate is no longer valid.
    pub const EXPIRED: Self = Self(8);
    /// The certificate was revoked. Revocation lists are not fetched, so nothing raises it today.
    pub const REVOKED: Self = Self(16);
    /// The certificate is signed by an algorithm that is no longer safe.
    pub const INSECURE: Self = Self(32);
    /// Anything else is wrong with the certificate.
    pub const GENERIC_ERROR: Self = Self(64);

    /// No check.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Every check.
    pub const fn all() -> Self {
        Self(127)
    }

    /// From the bits of `GTlsCertificateFlags`; bits without a meaning are dropped.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::all().0)
    }

    /// As the bits of `GTlsCertificateFlags`.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Every check, which is what a connection should make.
impl Default for ValidationFlags {
    fn default() -> Self {
        Self::all()
    }
}

impl std::ops::BitOr for ValidationFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for ValidationFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl std::ops::BitAnd for ValidationFlags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl std::ops::Not for ValidationFlags {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0 & Self::all().0)
    }
}

/// A certificate that failed a check that is on, for the hook to decide on.
#[derive(Debug, Clone)]
pub struct CertificateProblem {
    /// The peer's certificates as DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// Everything that is wrong, also what the flags would let pass.
    pub flags: ValidationFlags,
    /// The host that was to be reached.
    pub host: String,
    /// The sentence that the error would be.
    pub reason: String,
}

/// Decides on a certificate that failed a check; `true` goes on. Called from the thread that runs
/// the connection, without a lock held.
pub type AcceptCertificate = Arc<dyn Fn(&CertificateProblem) -> bool + Send + Sync>;

/// A client's TLS settings.
#[derive(Clone, Default)]
pub struct ClientTls {
    /// PEM file of the authorities to trust instead of the system's. A server's own certificate in
    /// it is trusted too.
    pub ca_file: Option<PathBuf>,
    /// PEM files of our own certificate chain and its private key, for servers that want one.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// The checks to make.
    pub flags: ValidationFlags,
    /// The name to ask for and to check, if it is not the host that is connected to.
    pub server_name: Option<String>,
    /// Asked about certificates that fail a check.
    pub accept: Option<AcceptCertificate>,
}

impl ClientTls {
    /// Reads the files, so that a mistake shows before there is a connection.
    ///
    /// # Errors
    /// [`NetError::Settings`], naming the file, when one cannot be read or they do not fit
    /// together.
    pub fn check(&self) -> Result<(), NetError> {
        config::check(self)
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("ca_file", &self.ca_file)
            .field("client_cert", &self.client_cert)
            .field("flags", &self.flags)
            .field("server_name", &self.server_name)
            .field("accept", &self.accept.is_some())
            .finish()
    }
}

/// A server's TLS settings.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// PEM file of the certificate chain, the server's own first.
    pub cert: PathBuf,
    /// PEM file of the private key; may be the same file.
    pub key: PathBuf,
    /// PEM file of the authorities that sign clients' certificates. If set, clients need one.
    pub client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// Reads the files, once per listener and not per connection. The certificate and the key are
    /// read again when they change, the authorities are not.
    ///
    /// # Errors
    /// [`NetError::Settings`], naming the file, when one cannot be read or they do not fit
    /// together.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, NetError> {
        config::server(self)
    }
}
