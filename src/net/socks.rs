// SPDX-License-Identifier: MPL-2.0

//! The bytes of SOCKS4 and SOCKS4a, which librtmp's `socks=host:port` option asks for.
//!
//! No I/O here: a request to write, a reply to read. Names go to the proxy as names (SOCKS4a), so
//! that a host only the proxy can see works. There is no user name and no SOCKS5.

use std::net::{IpAddr, Ipv4Addr};

use super::{NetError, resolve::literal};

/// Where the proxy listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocksProxy {
    /// Host name or IP address.
    pub host: String,
    /// TCP port, 1080 as a rule.
    pub port: u16,
}

/// Bytes in a reply; reading more would take bytes from the server behind the proxy.
pub const REPLY_LEN: usize = 8;

const VERSION: u8 = 4;
const CONNECT: u8 = 1;
/// 0.0.0.x with x not 0 announces a host name after the user name (SOCKS4a).
const NAME_FOLLOWS: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);

/// Asks the proxy to connect to `host` and `port`.
///
/// # Errors
/// [`NetError::Proxy`] for a name that SOCKS4a cannot carry: empty, longer than 255 bytes, or with
/// a zero byte in it.
pub fn request(host: &str, port: u16) -> Result<Vec<u8>, NetError> {
    let (address, name) = match literal(host) {
        Some(IpAddr::V4(address)) => (address, None),
        Some(IpAddr::V6(address)) => (NAME_FOLLOWS, Some(address.to_string())),
        None => (NAME_FOLLOWS, Some(host.to_owned())),
    };
    let mut request = vec![VERSION, CONNECT];
    request.extend(port.to_be_bytes());
    request.extend(address.octets());
    request.push(0);
    if let Some(name) = name {
        if name.is_empty() || name.len() > 255 || name.contains('\0') {
            return Err(NetError::proxy(format!(
                "host name {name:?} cannot be handed to a SOCKS4 proxy"
            )));
        }
        request.extend(name.as_bytes());
        request.push(0);
    }
    Ok(request)
}

/// Reads the proxy's verdict.
///
/// # Errors
/// [`NetError::Proxy`] when the proxy is no SOCKS4 proxy or wants what it will not get,
/// [`NetError::ProxyFailed`] when it could not connect.
pub fn parse_reply(reply: &[u8; REPLY_LEN]) -> Result<(), NetError> {
    let [version, verdict, ..] = *reply;
    // The reply's version is 0; some proxies repeat the request's 4.
    let reason = match (version, verdict) {
        (0 | VERSION, 90) => return Ok(()),
        (0 | VERSION, 91) => {
            let reason = "the SOCKS proxy refused or could not make the connection";
            return Err(NetError::proxy_failed(reason));
        }
        (0 | VERSION, 92 | 93) => "the SOCKS proxy wants an ident check, which fails".to_owned(),
        (0 | VERSION, code) => format!("the SOCKS proxy answered with the unknown code {code}"),
        (5, _) => "the proxy speaks SOCKS5 only, and SOCKS4 is needed".to_owned(),
        _ => "the proxy does not speak SOCKS4".to_owned(),
    };
    Err(NetError::Proxy { reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        assert_eq!(
            request("1.2.3.4", 1935).unwrap(),
            b"\x04\x01\x07\x8f\x01\x02\x03\x04\0"
        );
        assert_eq!(
            request("live.example", 80).unwrap(),
            b"\x04\x01\0\x50\0\0\0\x01\0live.example\0"
        );
        assert_eq!(
            request("[::1]", 80).unwrap(),
            b"\x04\x01\0\x50\0\0\0\x01\0::1\0"
        );
    }

    #[test]
    fn names_that_do_not_fit() {
        for host in ["", "a\0b", &"a".repeat(256)] {
            assert!(
                matches!(request(host, 80), Err(NetError::Proxy { .. })),
                "{host:?}"
            );
        }
    }

    #[test]
    fn every_reply_has_a_meaning() {
        for version in 0..=255u8 {
            for verdict in 0..=255u8 {
                let reply = [version, verdict, 0, 0, 0, 0, 0, 0];
                let granted = (version == 0 || version == 4) && verdict == 90;
                assert_eq!(parse_reply(&reply).is_ok(), granted, "{version} {verdict}");
            }
        }
        let error = parse_reply(b"HTTP/1.1").unwrap_err();
        assert_eq!(error.to_string(), "the proxy does not speak SOCKS4");
    }
}
