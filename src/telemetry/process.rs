//! What the kernel says about this process, read on scrape, under the names every Prometheus client uses.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Collects `process_resident_memory_bytes`, `process_open_fds` and `process_threads`.
#[derive(Debug)]
pub struct Process;

/// One reading of `/proc/self/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Memory in use.
    pub resident_bytes: u64,
    /// Threads alive.
    pub threads: u64,
}

/// One series of this collector.
struct Series {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
}

const RESIDENT: Series =
    Series { name: "process_resident_memory", help: "Memory in use", unit: Some(Unit::Bytes) };
const THREADS: Series = Series { name: "process_threads", help: "Threads alive", unit: None };
const DESCRIPTORS: Series = Series { name: "process_open_fds", help: "File descriptors open", unit: None };

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // Without a readable /proc the process simply has no such series; a scrape must not fail for it.
        if let Some(reading) = Reading::take() {
            RESIDENT.write(&mut encoder, reading.resident_bytes)?;
            THREADS.write(&mut encoder, reading.threads)?;
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // The directory being read is itself one descriptor too many.
            DESCRIPTORS.write(&mut encoder, descriptors.count().saturating_sub(1) as u64)?;
        }
        Ok(())
    }
}

impl Reading {
    /// Reads; nothing without a readable `/proc`.
    pub fn take() -> Option<Self> {
        Some(Self::parse(&fs::read_to_string("/proc/self/status").ok()?))
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.split_whitespace().next()?.parse::<u64>().ok()
        };
        // The kernel's "kB" are kibibytes.
        Self { resident_bytes: field("VmRSS").unwrap_or(0) * 1024, threads: field("Threads").unwrap_or(0) }
    }
}

impl Series {
    fn write(&self, encoder: &mut DescriptorEncoder<'_>, value: u64) -> Result<(), fmt::Error> {
        let gauge = ConstGauge::new(value);
        gauge.encode(encoder.encode_descriptor(
            self.name,
            self.help,
            self.unit.as_ref(),
            gauge.metric_type(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn status_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t  999 kB\nVmRSS:\t    2048 kB\nThreads:\t7\n";
        assert_eq!(Reading::parse(status), Reading { resident_bytes: 2 * 1024 * 1024, threads: 7 });
        assert_eq!(Reading::parse("nonsense"), Reading::default());
    }

    proptest! {
        #[test]
        fn no_status_panics(text in "(VmRSS|Threads|:|[0-9]{1,15}|kB|[\t \n\u{e9}\u{1f600}\0\r\u{1b}]){0,20}") {
            let _read = Reading::parse(&text);
        }
    }
}
