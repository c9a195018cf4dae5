//! What a real driver of the kernel counts, in a network of the test's own.

use compilation_worker::telemetry::network::{Watch, driver};
use rustix::net::netdevice::name_to_index;

/// Two ends of one cable, the first of which the default route leads through.
const ENDS: [&str; 2] = ["throttled0", "throttled1"];

/// The index of an interface, if there is one of this name here.
fn index(name: &str) -> Option<u64> {
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    name_to_index(&socket, name).ok().map(u64::from)
}

/// Runs this very test where the cable is.
#[expect(clippy::disallowed_methods, reason = "a network of its own takes a process of its own")]
fn in_a_network_of_its_own(test: &str) {
    let [first, second] = ENDS;
    let script = format!(
        "ip link add {first} type veth peer name {second} && ip link set {second} up && ip link set {first} up \
         && ip address add 192.0.2.1/24 dev {first} && ip route add default via 192.0.2.2 \
         && exec \"$0\" --exact {test} --nocapture"
    );
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

#[test]
fn a_real_driver_tells_what_it_counts() {
    let [Some(first), Some(second)] = ENDS.map(index) else {
        return in_a_network_of_its_own("network::a_real_driver_tells_what_it_counts");
    };
    assert_ne!(first, second);
    for (end, other) in [(ENDS[0], second), (ENDS[1], first)] {
        let counted = driver::statistics(end).unwrap();
        let peer = counted.iter().find(|(name, _)| name == "peer_ifindex");
        assert_eq!(peer, Some(&("peer_ifindex".to_owned(), other)), "{counted:?}");
        assert!(counted.iter().any(|(name, _)| name.starts_with("rx_queue_0_")), "{counted:?}");
    }
    assert_eq!(driver::statistics("lo").unwrap(), [], "this one counts nothing");
    driver::statistics("none-such").unwrap_err();
    let mut watch = Watch::default();
    assert_eq!(watch.look().unwrap(), [], "only instances of EC2 have allowances");
    let watched = format!("{watch:?}");
    assert!(watched.contains(ENDS[0]), "it looked elsewhere: {watched}");
}
