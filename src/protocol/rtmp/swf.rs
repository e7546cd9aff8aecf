// SPDX-License-Identifier: MPL-2.0

//! SWF verification: a server asks (user control event 26) and the client shows that it knows the
//! player's SWF file (event 27).
//!
//! Not part of the specification; source: librtmp 2.4 `hashswf.c` and `handshake.h`. Fetching the
//! file is the caller's.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::limits;

/// What a server knows about a SWF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwfHash {
    /// HMAC-SHA256 over the decompressed file.
    pub hash: [u8; 32],
    /// Length of the decompressed file in bytes.
    pub size: u32,
}

impl SwfHash {
    /// The 42 bytes behind the event type 27 of a user control message: two ones, twice the size,
    /// and the hash under the last 32 bytes of S1.
    ///
    /// It answers a request whose own byte, behind event type 26, is 0 or 1; others are unknown.
    pub fn response(&self, swf_key: &[u8; 32]) -> [u8; RESPONSE_LEN] {
        let mut out = [0; RESPONSE_LEN];
        let size = self.size.to_be_bytes();
        let mac = mac(swf_key).chain_update(self.hash).finalize().into_bytes();
        let bytes = [1, 1].iter().chain(&size).chain(&size).chain(&mac);
        for (slot, byte) in out.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        out
    }
}

/// Length of a response in bytes, without its event type.
pub const RESPONSE_LEN: usize = 42;

/// Why a file has no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwfError {
    /// No `FWS`, `CWS` or `ZWS` in front, or nothing behind.
    #[error("this is not a SWF file")]
    NotSwf,
    /// `ZWS`, the LZMA of SWF 13.
    #[error("the SWF file is compressed with LZMA, which is not supported: give its hash instead")]
    Lzma,
    /// The zlib stream ends early or is damaged.
    #[error("the compressed SWF file is damaged or incomplete")]
    Damaged,
    /// Larger than any player, decompressed.
    #[error(
        "the SWF file is larger than {} bytes when decompressed",
        limits::SWF_SIZE
    )]
    TooLarge,
}

/// Hashes a SWF file as it lies on its web server, compressed with zlib or not.
///
/// The length in the file's header is not believed; memory stays constant.
pub fn hash_swf(bytes: &[u8]) -> Result<SwfHash, SwfError> {
    // Signature, version and the 32-bit length of the decompressed file.
    let (head, body) = bytes.split_first_chunk::<8>().ok_or(SwfError::NotSwf)?;
    let mut mac = mac(KEY);
    let [kind, b'W', b'S', rest @ ..] = head else {
        return Err(SwfError::NotSwf);
    };
    mac.update(b"FWS");
    mac.update(rest);
    let length = match kind {
        b'F' => update(&mut mac, body),
        b'C' => update(&mut mac, ZlibDecoder::new(body)),
        b'Z' => Err(SwfError::Lzma),
        _ => Err(SwfError::NotSwf),
    }?;
    Ok(SwfHash {
        hash: mac.finalize().into_bytes().into(),
        size: length,
    })
}

const KEY: &[u8] = b"Genuine Adobe Flash Player 001";

type HmacSha256 = Hmac<Sha256>;

fn mac(key: &[u8]) -> HmacSha256 {
    // HMAC takes a key of any length (RFC 2104 section 2).
    HmacSha256::new_from_slice(key).expect("a key of any length")
}

/// Hashes all of `body` and returns the length of the file.
fn update(mac: &mut HmacSha256, mut body: impl Read) -> Result<u32, SwfError> {
    let mut size: u32 = 8;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(SwfError::Damaged),
        };
        size = u32::try_from(n)
            .ok()
            .and_then(|n| size.checked_add(n))
            .filter(|size| *size <= limits::SWF_SIZE)
            .ok_or(SwfError::TooLarge)?;
        mac.update(buffer.get(..n).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};

    use super::*;

    /// Version 10, the right length, 40 times all bytes.
    fn file() -> Vec<u8> {
        let body: Vec<u8> = (0..40).flat_map(|_| 0..=255).collect();
        let mut file = b"FWS\x0a".to_vec();
        file.extend((8 + body.len() as u32).to_le_bytes());
        file.extend(body);
        file
    }

    fn compressed(file: &[u8]) -> Vec<u8> {
        let mut out = ZlibEncoder::new(Vec::new(), Compression::best());
        out.write_all(&file[8..]).unwrap();
        [b"CWS", &file[3..8], &out.finish().unwrap()].concat()
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// By Python's hmac, apart from this code:
    /// `hmac.new(b"Genuine Adobe Flash Player 001", file, hashlib.sha256)`; rtmpdump 2.4 `--swfVfy`
    /// computed the same from the compressed file.
    const HASH: &str = "6fe5a62391614d59076c54a00ac4acd6e890f2e5a1ba5e5475fbc78ab590f618";
    /// `hmac.new(bytes(range(32)), hash, hashlib.sha256)`.
    const PROOF: &str = "ae8aaa033a526ee776cee50e973da733a3c66cf1dbeb89a3a04e6ffd487ea277";

    #[test]
    fn both_forms_of_a_file_have_one_hash() {
        for bytes in [file(), compressed(&file())] {
            let hash = hash_swf(&bytes).unwrap();
            assert_eq!((hash.size, &hash.hash[..]), (10248, &unhex(HASH)[..]));
        }
        // What a web server appends is not part of the file.
        let mut trailing = compressed(&file());
        trailing.extend(b"trailing");
        assert_eq!(hash_swf(&trailing), hash_swf(&file()));
    }

    #[test]
    fn the_response_proves_hash_and_key() {
        let hash = hash_swf(&file()).unwrap();
        let mut key = [0; 32];
        for (i, byte) in (0..).zip(&mut key) {
            *byte = i;
        }
        let mut expected = vec![1, 1, 0, 0, 0x28, 0x08, 0, 0, 0x28, 0x08];
        expected.extend(unhex(PROOF));
        assert_eq!(hash.response(&key)[..], expected);
    }

    #[test]
    fn bad_files_are_refused() {
        let good = compressed(&file());
        let mut bent = good.clone();
        bent[20] ^= 0x55;
        for (bytes, error) in [
            (&b""[..], SwfError::NotSwf),
            (b"FWS\x0a\0\0\0", SwfError::NotSwf),
            (b"<!DOCTYPE html>", SwfError::NotSwf),
            (b"XWS\x0a\0\0\0\0", SwfError::NotSwf),
            (b"ZWS\x0d\0\0\0\0\0\0\0\0", SwfError::Lzma),
            (b"CWS\x0a\0\0\0\0", SwfError::Damaged),
            (b"CWS\x0a\0\0\0\0not zlib", SwfError::Damaged),
            (&bent, SwfError::Damaged),
        ] {
            assert_eq!(hash_swf(bytes), Err(error));
        }
        for cut in 8..good.len() {
            assert_eq!(hash_swf(&good[..cut]), Err(SwfError::Damaged), "{cut}");
        }
    }

    #[test]
    fn a_bomb_stops_at_its_budget() {
        let mut bomb = ZlibEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..=limits::SWF_SIZE >> 20 {
            bomb.write_all(&zeros).unwrap();
        }
        // Claims to be small.
        let bomb = [b"CWS\x0a\x10\0\0\0", &bomb.finish().unwrap()[..]].concat();
        assert!(bomb.len() < 1 << 20);
        assert_eq!(hash_swf(&bomb), Err(SwfError::TooLarge));
    }
}
