//! Which users jails are on the host.
//!
//! As root, the daemon maps a range of ids that nobody else has: one for the helper, one for each lane. Several daemons
//! on one machine share the range unit by unit. A unit is claimed by a socket of its name, which the kernel takes back
//! however its daemon ends.
//!
//! Such names belong to a network namespace: daemons in containers do not see each other's claims. They begin their
//! search at units that follow from their namespaces, which makes it unlikely, not impossible, that two of them share
//! users on the host; then the limits that the kernel keeps per user count for both.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use crate::sandbox::jail::helper::INSIDE_ID;
use crate::sandbox::jail::protocol::Ids;

/// First id of the range. 60578 to 61183 are the ids that systemd documents as nobody's; they also exist in
/// containers, which commonly have 65536.
const FIRST: u32 = 60_600;
/// Ids in a unit: enough for ten slots.
const UNIT: u32 = 32;
/// Units in the range.
const UNITS: u32 = 16;
/// Ids in the range.
pub(super) const ALL: u32 = UNIT * UNITS;

/// The users of one daemon's jails.
#[derive(Debug)]
pub(super) enum Users {
    /// The daemon's own user.
    Own,
    /// Some of the range.
    Range {
        /// The helper's id; those of the lanes follow.
        first: u32,
        /// How many.
        count: u32,
        /// One for each unit.
        _claims: Vec<UnixListener>,
    },
}

impl Users {
    /// Chooses users for the helper and its lanes. A range takes root to map, and a user namespace of our own, if we
    /// are in one, that has these ids.
    pub(super) fn choose(lanes: u32) -> Self {
        let has_range = |map: &str| covers(&fs::read_to_string(map).unwrap_or_default());
        let root = rustix::process::geteuid().is_root();
        if root && has_range("/proc/self/uid_map") && has_range("/proc/self/gid_map") {
            Self::range(lanes)
        } else {
            Self::Own
        }
    }

    fn range(lanes: u32) -> Self {
        let units = (lanes + 1).div_ceil(UNIT);
        for unit in search(UNITS.saturating_sub(units) + 1, network_namespace()) {
            if let Ok(claims) = (unit..unit + units).map(claim).collect() {
                return Self::Range { first: FIRST + unit * UNIT, count: units * UNIT, _claims: claims };
            }
        }
        tracing::warn!("other daemons have claimed all user ids for jails: this one shares theirs");
        Self::Range { first: FIRST, count: units * UNIT, _claims: Vec::new() }
    }

    /// What the helper has to know of it.
    pub(super) const fn ids(&self) -> Ids {
        match self {
            Self::Own => Ids::Single,
            Self::Range { .. } => Ids::Range,
        }
    }

    /// The helper's id on the host, if that is not this process's.
    pub(super) const fn helper(&self) -> Option<u32> {
        match self {
            Self::Own => None,
            Self::Range { first, .. } => Some(*first),
        }
    }

    /// Maps the ids into the user namespace of the process `helper`.
    pub(super) fn map(&self, helper: u32) -> io::Result<()> {
        let process = PathBuf::from(format!("/proc/{helper}"));
        let (users, groups) = match self {
            Self::Range { first, count, .. } => {
                let map = format!("{INSIDE_ID} {first} {count}\n");
                (map.clone(), map)
            }
            Self::Own => {
                // Without it the kernel lets nobody but root map a group.
                fs::write(process.join("setgroups"), "deny")?;
                let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
                (format!("{INSIDE_ID} {user} 1\n"), format!("{INSIDE_ID} {group} 1\n"))
            }
        };
        fs::write(process.join("uid_map"), users)?;
        fs::write(process.join("gid_map"), groups)
    }
}

/// All of `places` places, one after the other, beginning where `namespace` says.
fn search(places: u32, namespace: u64) -> impl Iterator<Item = u32> {
    // Namespaces that are made one after the other have numbers near each other, and not always next to each other.
    let hash = namespace.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let first = u32::try_from(hash % u64::from(places)).unwrap_or(0);
    (0..places).map(move |place| (first + place) % places)
}

/// The number of this process's network namespace; 0 if it cannot be told.
fn network_namespace() -> u64 {
    rustix::fs::stat("/proc/self/ns/net").map_or(0, |namespace| namespace.st_ino)
}

/// Claims a unit. Its socket has a name in no directory, and nobody ever connects to it.
fn claim(unit: u32) -> io::Result<UnixListener> {
    let name = format!("compilation-worker ids {}", FIRST + unit * UNIT);
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// Whether one line of an id map (first inside, first outside, count) holds the whole range.
fn covers(map: &str) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let (first, end) = (u64::from(FIRST), u64::from(FIRST + ALL));
        matches!(numbers[..], [inside, _, count] if inside <= first && end <= inside.saturating_add(count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_range_of_ids_is_used_only_where_it_exists() {
        assert!(covers("         0          0 4294967295\n"));
        assert!(covers("0 100000 65536\n"));
        assert!(!covers("0 100000 61000\n"));
        assert!(!covers("0 1000 1\n1 100000 1000\n"));
        assert!(!covers("garbage\n"));
    }

    #[test]
    fn daemons_that_cannot_see_each_other_begin_elsewhere() {
        assert_ne!(network_namespace(), 0);
        let first = |namespace| search(UNITS, namespace).next().unwrap();
        // Numbers as the kernel gives them: the machine's own namespace, and those of containers.
        let taken: std::collections::HashSet<u32> =
            [4_026_531_840, 4_026_532_281, 4_026_532_356, 4_026_532_431].map(first).into();
        assert!(taken.len() > 2, "{taken:?}");
        for places in [1, 13, UNITS] {
            let mut all: Vec<u32> = search(places, 4_026_532_281).collect();
            all.sort_unstable();
            assert_eq!(all, (0..places).collect::<Vec<_>>(), "every place once");
        }
    }

    #[test]
    fn no_two_have_the_same_users() {
        let range = |users: &Users| match users {
            Users::Range { first, count, .. } => *first..first + count,
            Users::Own => unreachable!(),
        };
        // Other tests run daemons meanwhile, so only what is seen of our own is compared.
        let (small, large) = (Users::range(6), Users::range(70));
        let (a, b) = (range(&small), range(&large));
        assert_eq!((a.len(), b.len()), (32, 96));
        assert!(a.end <= b.start || b.end <= a.start, "{a:?} {b:?}");
        assert!(a.start >= FIRST && b.end <= FIRST + ALL);
        assert!(claim((a.start - FIRST) / UNIT).is_err());
        drop(small);
        let everything = Users::range(ALL - 1);
        assert_eq!(range(&everything), FIRST..FIRST + ALL, "who finds none free shares");
    }

    proptest! {
        #[test]
        fn no_map_panics(text in "([0-9]{1,21}|[ \n\u{e9}\u{1f600}\0\r\u{1b}-]){0,20}") {
            let _covers = covers(&text);
        }
    }
}
