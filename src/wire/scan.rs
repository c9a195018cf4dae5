//! The one inner loop that reading and writing JSON strings share.

/// Eight bytes of `0x01` and of `0x80`: the masks of the classic "does any byte ...?" tricks on a word.
const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many leading bytes a JSON string carries as they are: no quote, no backslash, no control character.
pub(super) fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    for word in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let special = special_bytes(word);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len() - at)
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The top bit of every special byte; bits above the lowest set one may be wrong, because borrows travel upwards.
const fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash | control) & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_at_every_place() {
        for special in 0..=255_u8 {
            for at in 0..20 {
                let mut bytes = [b'x'; 20];
                bytes[at] = special;
                let want = if is_special(special) { at } else { 20 };
                assert_eq!(plain(&bytes), want, "byte {special:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_loop(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let want = bytes.iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len());
            prop_assert_eq!(plain(&bytes), want);
        }
    }
}
