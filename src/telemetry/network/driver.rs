//! What a network driver counts by itself, as `ethtool -S` shows it: the questions, and how their answers are read.
//!
//! Layouts and numbers are those of `linux/ethtool.h`; all integers have the machine's own order of bytes.

use std::io;

use super::sys::{self, Room};

/// `ETHTOOL_GSTRINGS`: the names of a set.
const GET_STRINGS: u32 = 0x1b;
/// `ETHTOOL_GSTATS`: the values of the set of statistics.
const GET_STATISTICS: u32 = 0x1d;
/// `ETHTOOL_GSSET_INFO`: which sets there are, and how large.
const GET_SET_SIZES: u32 = 0x37;
/// `ETH_SS_STATS`: the set of statistics.
const STATISTICS: u32 = 1;
/// `ETH_GSTRING_LEN`: bytes of a name, padded with zeros.
const NAME: usize = 32;
/// Where names begin in their answer, behind the command, the set and the number.
const NAMES_AT: usize = 12;
/// Where values begin in theirs, behind the command and the number.
const VALUES_AT: usize = 8;
/// More counters than any driver has: each of 128 queues has some thirty.
const MOST: usize = 4096;

/// Every counter of the driver of `interface`, by name. Empty for a driver that counts nothing.
pub fn statistics(interface: &str) -> io::Result<Vec<(String, u64)>> {
    let mut room = Room::new(NAMES_AT + MOST * NAME)?;
    let mut ask = |question: &[u8]| {
        room.bytes_mut()[..question.len()].copy_from_slice(question);
        sys::ask(interface, &mut room).map(|()| room.bytes().to_vec())
    };
    let Some(count) = set_size(&ask(&sizes_question())?) else { return Ok(Vec::new()) };
    if count as usize > MOST {
        return Err(io::Error::other(format!("{interface} has {count} counters, more than {MOST}")));
    }
    let names = names(&ask(&question(&[GET_STRINGS, STATISTICS, count]))?);
    let values = values(&ask(&question(&[GET_STATISTICS, count]))?);
    // A driver whose counters have changed in between would be read wrongly.
    if names.len() != values.len() {
        return Err(io::Error::other(format!("the counters of {interface} change just now")));
    }
    Ok(names.into_iter().zip(values).collect())
}

fn question(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The command, a reserved word, and a mask of 64 bits with the set that is asked about.
fn sizes_question() -> Vec<u8> {
    let mut bytes = question(&[GET_SET_SIZES, 0]);
    bytes.extend_from_slice(&(1_u64 << STATISTICS).to_ne_bytes());
    bytes
}

/// How many statistics there are, if there are any: the mask is left with the sets that the driver has.
fn set_size(answer: &[u8]) -> Option<u32> {
    let mask = number(answer, 8)? | number(answer, 12)?;
    number(answer, 16).filter(|size| mask != 0 && *size > 0)
}

fn names(answer: &[u8]) -> Vec<String> {
    let count = number(answer, 8).unwrap_or_default() as usize;
    let names = answer.get(NAMES_AT..).unwrap_or_default().as_chunks::<NAME>().0.iter().take(count);
    names
        .map(|name| {
            let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
            String::from_utf8_lossy(&name[..end]).trim().to_owned()
        })
        .collect()
}

fn values(answer: &[u8]) -> Vec<u64> {
    let count = number(answer, 4).unwrap_or_default() as usize;
    let values = answer.get(VALUES_AT..).unwrap_or_default().as_chunks::<8>().0.iter().take(count);
    values.map(|value| u64::from_ne_bytes(*value)).collect()
}

/// The word at this place.
fn number(answer: &[u8], at: usize) -> Option<u32> {
    answer.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Linux 6.18 answered on x86-64 for the loopback interface and, cut after two of its ten counters, for one end of
    /// a veth pair whose other end had the index 2.
    const LOOPBACK_SIZES: &str = "3700000000000000000000000000000000000000";
    const VETH_SIZES: &str = "370000000000000002000000000000000a000000";
    const VETH_NAMES: &str = "1b000000010000000a000000\
        706565725f6966696e6465780000000000000000000000000000000000000000\
        72785f71756575655f305f7864705f7061636b65747300000000000000000000";
    const VETH_VALUES: &str = "1d0000000a00000002000000000000000000000000000000";

    fn captured(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().as_chunks::<2>().0.iter();
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn questions_are_laid_out_as_the_kernel_reads_them() {
        assert_eq!(sizes_question(), captured("37000000000000000200000000000000"));
        assert_eq!(question(&[GET_STRINGS, STATISTICS, 10]), captured("1b000000010000000a000000"));
        assert_eq!(question(&[GET_STATISTICS, 10]), captured("1d0000000a000000"));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn answers_are_read_as_the_kernel_gave_them() {
        assert_eq!(set_size(&captured(LOOPBACK_SIZES)), None, "the mask says that it has no such set");
        assert_eq!(set_size(&captured(VETH_SIZES)), Some(10));
        assert_eq!(names(&captured(VETH_NAMES)), ["peer_ifindex", "rx_queue_0_xdp_packets"]);
        assert_eq!(values(&captured(VETH_VALUES)), [2, 0]);
    }

    #[test]
    fn a_name_may_fill_its_place_and_room_behind_the_answer_is_not_read() {
        let mut answer = question(&[GET_STRINGS, STATISTICS, 1]);
        answer.extend_from_slice(b"a name that fills its thirty-two");
        answer.extend_from_slice(&[b'x'; 64]);
        assert_eq!(names(&answer), ["a name that fills its thirty-two"]);
        assert_eq!(values(&question(&[GET_STATISTICS, 1, 7, 7, 7, 7])).len(), 1);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (size, names, values) = (set_size(&answer), names(&answer), values(&answer));
            prop_assert!(size != Some(0) && names.len() <= answer.len() / NAME && values.len() <= answer.len() / 8);
        }
    }
}
