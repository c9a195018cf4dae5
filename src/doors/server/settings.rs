//! The server's clocks and limits.

use std::time::Duration;

/// How long each phase of a connection may take, and how much it may bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// How long a connection may lie idle between requests. Longer than the balancer's (60 s), so that it is always
    /// the balancer that closes first and no request crosses our close.
    pub idle: Duration,
    /// How long a request's head may take from its first byte on.
    pub head: Duration,
    /// How long a request's body may take from the end of its head on.
    pub body: Duration,
    /// Slowest transfer tolerated, in bytes per second, in either direction.
    pub slowest: u64,
    /// Over how long the speed of a body is judged.
    pub body_window: Duration,
    /// Over how long the speed of a reader that blocks us is judged.
    pub write_window: Duration,
    /// How long we keep reading after our last word, so that the close does not destroy it on its way.
    pub linger: Duration,
    /// Longest request head, in bytes.
    pub head_bytes: usize,
    /// Most header lines of a request.
    pub head_lines: usize,
    /// Longest request body, in bytes.
    pub body_bytes: usize,
    /// Most connections open at once; beyond, the oldest idle one has to go.
    pub connections: usize,
    /// How long after the drain has begun requests are still served; afterwards they are refused.
    pub lame_duck: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(8),
            body: Duration::from_secs(20),
            slowest: 8 * 1024,
            body_window: Duration::from_secs(5),
            write_window: Duration::from_secs(30),
            linger: Duration::from_secs(1),
            head_bytes: 16 * 1024,
            head_lines: 64,
            body_bytes: 16 * 1024 * 1024,
            connections: 1024,
            lame_duck: Duration::ZERO,
        }
    }
}
