//! How often the network of an EC2 instance was throttled: what its driver counts against the allowances of the
//! instance's type.
//!
//! Only ENA, the driver of EC2 instances, has these counters. Any other machine has no such series.

pub mod driver;
mod sys;

use std::fs;
use std::io;

/// What an instance has an allowance for, as the driver's counters `<name>_allowance_exceeded` call it: bandwidth both
/// ways, packets per second, connections tracked, and packets per second to the services of the machine itself (DNS,
/// metadata, time).
pub const ALLOWANCES: [&str; 5] = ["bw_in", "bw_out", "pps", "conntrack", "linklocal"];

/// `RTF_UP` and `RTF_REJECT` of `linux/route.h`.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// Looks at the allowances again and again.
#[derive(Debug, Default)]
pub struct Watch {
    /// The interface, and what its driver had counted at the last look.
    last: Option<(String, Vec<(&'static str, u64)>)>,
}

impl Watch {
    /// How much each counter has risen since the last look; at the first, since now. Empty where there are none. It asks
    /// the driver, which may take its time.
    pub fn look(&mut self) -> io::Result<Vec<(&'static str, u64)>> {
        // Beneath our own process, where they are even if a unit hides the rest of `/proc`.
        let routes = |name| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
        let interface = interface(&routes("route"), &routes("ipv6_route"));
        let Some(interface) = interface else { return Ok(Vec::new()) };
        let counted = allowances(&driver::statistics(&interface)?);
        Ok(self.note(interface, counted))
    }

    fn note(&mut self, interface: String, counted: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
        let known = self.last.take().filter(|(name, _)| *name == interface);
        let rise = |(allowance, now): &(&'static str, u64)| {
            let before = known.as_ref().and_then(|(_, all)| all.iter().find(|(name, _)| name == allowance));
            let rise = match before {
                Some((_, before)) if before <= now => now - before,
                // A driver that was reset counts from zero.
                Some(_) => *now,
                None => 0,
            };
            (*allowance, rise)
        };
        let rises = counted.iter().map(rise).collect();
        self.last = Some((interface, counted));
        rises
    }
}

/// Those of a driver's counters that count an exceeded allowance.
fn allowances(statistics: &[(String, u64)]) -> Vec<(&'static str, u64)> {
    let named = |allowance: &&'static str| {
        let mut counters = statistics.iter();
        let name = |name: &str| name.strip_suffix("_allowance_exceeded") == Some(allowance);
        counters.find(|(counter, _)| name(counter)).map(|(_, value)| (*allowance, *value))
    };
    ALLOWANCES.iter().filter_map(named).collect()
}

/// The interface of the default route, from the kernel's tables (`/proc/net/route` and `ipv6_route`): the cheapest
/// of version 4, else of version 6.
fn interface(version_4: &str, version_6: &str) -> Option<String> {
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let stands = |flags: &str| hex(flags).is_some_and(|flags| flags & UP != 0 && flags & REJECT == 0);
    let cheapest = |routes: &mut dyn Iterator<Item = (u32, String)>| routes.min_by_key(|(metric, _)| *metric);
    let mut old = version_4.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [name, target, _gateway, flags, _references, _uses, metric, mask, ..] = columns[..] else {
            return None;
        };
        let is_default = hex(target) == Some(0) && hex(mask) == Some(0) && stands(flags);
        is_default.then_some((metric.parse().ok()?, name.to_owned()))
    });
    let mut new = version_6.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [target, length, _from, _from_length, _hop, metric, _references, _uses, flags, name] =
            columns[..]
        else {
            return None;
        };
        let is_default = target.bytes().all(|digit| digit == b'0') && hex(length) == Some(0) && stands(flags);
        is_default.then_some((hex(metric)?, name.to_owned()))
    });
    cheapest(&mut old).or_else(|| cheapest(&mut new)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
ens6\t00000000\t010011AC\t0003\t0\t0\t512\t00000000\t0\t0\t0
ens5\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
down\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0
half\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0
ens5\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
    const ROUTES_6: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000200 00000002 00000000 00000003     eth2
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 00000001 00000001 00000000 00200201       lo
";

    #[test]
    fn the_default_route_leads_through_one_interface() {
        assert_eq!(interface(ROUTES, ROUTES_6).as_deref(), Some("ens5"));
        assert_eq!(interface("", ROUTES_6).as_deref(), Some("eth2"));
        let without: Vec<&str> = ROUTES.lines().filter(|line| !line.contains("0003")).collect();
        assert_eq!(interface(&without.join("\n"), ""), None);
        assert_eq!(interface("nonsense", "\u{0}"), None);
    }

    #[test]
    fn the_five_counters_are_found_among_many() {
        let all: Vec<(String, u64)> = [
            ("tx_timeout", 1),
            ("bw_in_allowance_exceeded", 2),
            ("bw_out_allowance_exceeded", 3),
            ("pps_allowance_exceeded", 4),
            ("conntrack_allowance_exceeded", 5),
            ("linklocal_allowance_exceeded", 6),
            ("conntrack_allowance_available", 7),
            ("queue_0_tx_cnt", 8),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let found = allowances(&all);
        assert_eq!(found, [("bw_in", 2), ("bw_out", 3), ("pps", 4), ("conntrack", 5), ("linklocal", 6)]);
        assert_eq!(allowances(&all[..1]), []);
    }

    #[test]
    fn only_what_happens_from_now_on_counts() {
        let mut watch = Watch::default();
        let mut note = |interface: &str, pps| watch.note(interface.to_owned(), vec![("pps", pps)]);
        for (interface, counted, rise) in [
            ("ens5", 100, 0),
            ("ens5", 103, 3),
            ("ens5", 103, 0),
            // It was reset.
            ("ens5", 2, 2),
            // It is another.
            ("ens6", 50, 0),
            ("ens6", 51, 1),
        ] {
            assert_eq!(note(interface, counted), [("pps", rise)], "{interface} {counted}");
        }
        assert_eq!(watch.note("ens6".to_owned(), Vec::new()), []);
    }

    proptest! {
        #[test]
        fn no_table_of_the_kernels_panics(text in "(0{8}|0{32}|00|0003|[0-9a-fA-F]{1,9}|ens5|[\t \n\u{e9}\u{1f600}\0\r\u{1b}]){0,40}") {
            let _found = (interface(&text, ""), interface("", &text));
        }
    }
}
