// SPDX-License-Identifier: MPL-2.0

//! What H.264 says of a picture without being decoded.

/// Whether no other picture refers to this one: all of its slices have `nal_ref_idc` 0 (ITU-T H.264,
/// section 7.4.1). `data` is NAL units behind lengths of four bytes, which all but the oddest encoders
/// write; of others, and of broken ones, it is not said.
pub fn is_unreferenced(mut data: &[u8]) -> bool {
    let mut slices = 0;
    while let Some((length, rest)) = data.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((unit, rest)) = rest.split_at_checked(length) else {
            return false;
        };
        data = rest;
        // Slices, whole or in partitions.
        if let Some(head) = unit.first()
            && (1..=5).contains(&(head & 0x1f))
        {
            if head & 0x60 != 0 {
                return false;
            }
            slices += 1;
        }
    }
    slices > 0 && data.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_say_whether_they_are_referred_to() {
        let unit = |head: u8| [0, 0, 0, 2, head, 7];
        let picture = |heads: &[u8]| {
            heads
                .iter()
                .flat_map(|head| unit(*head))
                .collect::<Vec<_>>()
        };
        for (heads, unreferenced) in [
            (&[0x01][..], true),
            (&[0x01, 0x01], true),
            (&[0x09, 0x06, 0x01], true),
            (&[0x41], false),
            (&[0x65], false),
            (&[0x01, 0x21], false),
            (&[0x06], false),
            (&[], false),
        ] {
            assert_eq!(is_unreferenced(&picture(heads)), unreferenced, "{heads:x?}");
        }
        let whole = picture(&[0x01, 0x01]);
        for end in (1..whole.len()).filter(|end| *end != 6) {
            assert!(!is_unreferenced(&whole[..end]), "{end}");
        }
        assert!(!is_unreferenced(&[0xff, 0xff, 0xff, 0xff, 1]));
    }
}
