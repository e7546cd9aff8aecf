// SPDX-License-Identifier: MPL-2.0

//! A time written into a picture with black and white blocks, so that it goes through coder,
//! network and decoder with the picture itself, and nothing else has to be believed.
//!
//! Two rows of [`BITS`] blocks at the bottom left: the number, most significant bit first, then its
//! complement. A picture without them, or a damaged one, reads as nothing.

/// Edge of a block in pixels: a macroblock of H.264, so that a neighbour does not bleed in.
const BLOCK: usize = 16;
const BITS: usize = 32;
const ROWS: usize = 2;

/// Smallest picture that holds a stamp, in pixels.
pub(crate) const LEAST_WIDTH: usize = BITS * BLOCK;

/// Brightness in video range.
const BLACK: u8 = 16;
const WHITE: u8 = 235;

/// The number and its complement, a row each.
fn rows(number: u32) -> [u32; ROWS] {
    [number, !number]
}

/// Where the rows begin: at the last multiple of a block that leaves room for them.
fn top(height: usize) -> Option<usize> {
    Some((height / BLOCK).checked_sub(ROWS)? * BLOCK)
}

/// Writes a number into the brightness plane of a picture, `width` bytes to a row.
pub(crate) fn write(luma: &mut [u8], width: usize, height: usize, number: u32) {
    let Some(top) = top(height).filter(|_| width >= LEAST_WIDTH) else {
        return;
    };
    for (place, row) in luma.chunks_mut(width).take(height).enumerate().skip(top) {
        let Some(bits) = rows(number).get((place - top) / BLOCK).copied() else {
            return;
        };
        for (bit, block) in row.chunks_mut(BLOCK).take(BITS).enumerate() {
            let set = bits >> (BITS - 1 - bit) & 1 == 1;
            block.fill(if set { WHITE } else { BLACK });
        }
    }
}

/// Reads what [`write()`] wrote, from the middle of each block.
pub(crate) fn read(luma: &[u8], width: usize, height: usize) -> Option<u32> {
    let top = top(height).filter(|_| width >= LEAST_WIDTH)?;
    let mut found = [0; ROWS];
    for (number, word) in found.iter_mut().enumerate() {
        let middle = top + number * BLOCK + BLOCK / 2;
        let row = luma.get(middle * width..(middle + 1) * width)?;
        for block in row.chunks(BLOCK).take(BITS) {
            let sum: u32 = block[4..12].iter().map(|pixel| u32::from(*pixel)).sum();
            *word = *word << 1 | u32::from(sum / 8 >= 128);
        }
    }
    (found == rows(found[0])).then_some(found[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_as_written_and_its_absence_as_nothing() {
        let (width, height) = (640, 360);
        let mut luma = vec![90; width * height];
        assert_eq!(read(&luma, width, height), None);
        for number in [0, 1, 0x8000_0000, 123_456_789, u32::MAX] {
            write(&mut luma, width, height, number);
            assert_eq!(read(&luma, width, height), Some(number));
        }
        let block = (height / BLOCK - 1) * BLOCK * width;
        luma[block..block + BLOCK * width].fill(WHITE);
        assert_eq!(read(&luma, width, height), None);
        assert_eq!(read(&luma[..100], width, height), None);
        assert_eq!(read(&[], 4, 4), None);
    }
}
