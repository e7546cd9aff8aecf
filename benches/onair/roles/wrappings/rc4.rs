// SPDX-License-Identifier: MPL-2.0

//! What the RC4 crate costs by itself, whoever uses it.

use rc4::{KeyInit, Rc4, StreamCipher};

/// What an element encrypts at a time.
const PIECE: usize = 16 * 1024;

/// `rc4 BYTES`
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let bytes = args.first().and_then(|bytes| bytes.parse::<usize>().ok());
    let bytes = bytes.ok_or("rc4 BYTES")?;
    let mut cipher = Rc4::new_from_slice(b"sixteen bytes...").map_err(|e| e.to_string())?;
    let mut piece = vec![0; PIECE];
    for _ in 0..bytes.div_ceil(PIECE) {
        cipher.apply_keystream(&mut piece);
    }
    std::hint::black_box(&piece);
    Ok(())
}
