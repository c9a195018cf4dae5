//! What presenting an output takes in memory, and how much there is of it.
//!
//! A listing swells to many times its size in lines, label uses and JSON, outside the jail and its limits. How much
//! depends on how short its lines are, so that is counted before anything is read.

use bytes::Bytes;

use crate::engine::run::{RawOutput, Written};

/// How many times the size of the largest output file may be in use for all that is being presented: enough for one
/// such file, if its lines are as long as those of real listings.
const SWELL: u64 = 16;
/// Bytes that a byte takes: as written, in the listing, and in the reply.
const PER_BYTE: u64 = 3;
/// Bytes that one outside printable ASCII takes beyond that: a tab is expanded in the listing and in the reply, broken
/// UTF-8 is replaced, a control character is escaped.
const PER_ODD_BYTE: u64 = 14;
/// Bytes that a line takes beyond that, if it defines a label that is used: measured, rounded up.
const PER_LINE: u64 = 160;

/// Bytes that all presenting may take together, where the largest output file has `artifact`.
pub(super) const fn size(artifact: u64) -> u64 {
    artifact.saturating_mul(SWELL)
}

/// Bytes that presenting `raw` takes at most, about.
pub(super) fn cost(raw: &RawOutput) -> u64 {
    let written = if let Written::File(bytes) = &raw.written { listing_cost(bytes) } else { 0 };
    let printed = |text: &str| cost_of(text.as_bytes(), line_feeds(text.as_bytes()).count());
    printed(&raw.stdout.text) + printed(&raw.stderr.text) + written
}

/// An output file as it may be presented: not if its lines are too short for the room there is.
pub(super) fn admit(bytes: Bytes, artifact: u64) -> Written {
    let (cost, room, size) = (listing_cost(&bytes), size(artifact), bytes.len() as u64);
    if cost <= room {
        return Written::File(bytes);
    }
    // So many bytes of its kind would fit.
    Written::TooLarge { size, cap: room / cost.div_ceil(size) }
}

fn listing_cost(text: &[u8]) -> u64 {
    // Of successive empty lines a listing has one.
    cost_of(text, line_feeds(text).filter(|&end| text[..end].last() != Some(&b'\n')).count())
}

fn cost_of(text: &[u8], lines: usize) -> u64 {
    let odd_bytes = text.iter().filter(|byte| !matches!(byte, b' '..=b'~' | b'\n')).count();
    PER_BYTE * text.len() as u64 + PER_ODD_BYTE * odd_bytes as u64 + PER_LINE * lines as u64
}

fn line_feeds(text: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'\n', text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::limits::MIB;

    #[test]
    fn short_lines_make_an_output_too_large() {
        let admitted =
            |text: &str| admit(Bytes::from(text.repeat(usize::try_from(MIB).unwrap() / text.len())), MIB);
        for text in [
            "\tmovl\t-20(%rbp), %eax\n\taddl\t$1, %eax\n\t.loc 1 23 7 is_stmt 0\n.L2:\n",
            "\n",
            "x",
            ".LFB0:\n.LVL1:\n\t.loc 1 23 7\n\tcall\t_ZNSt6vectorIiSaIiEE4sizeEv@PLT\n",
        ] {
            assert!(matches!(admitted(text), Written::File(_)), "{text:?}");
        }
        for text in ["a\n", "a:\n", "\tnop\n", "\r\n", "\t"] {
            let Written::TooLarge { size, cap } = admitted(text) else { panic!("{text:?}") };
            assert!(cap < size && size <= MIB, "{text:?}: {size} {cap}");
            let less = Bytes::from(text.repeat(usize::try_from(cap).unwrap() / text.len()));
            assert!(matches!(admit(less, MIB), Written::File(_)), "{text:?}");
        }
    }
}
