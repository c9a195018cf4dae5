//! What this machine is called where several are told apart.

use std::sync::{Arc, OnceLock};

/// The name of this machine: the instance's id once it is known, until then and elsewhere the host's name. Clones are the
/// same name.
#[derive(Debug, Clone)]
pub struct Identity {
    host: Arc<str>,
    instance: Arc<OnceLock<String>>,
}

impl Identity {
    /// The host's name, for as long as nobody [tells](Self::tell) a better one.
    pub fn of_host() -> Self {
        Self::of(&rustix::system::uname().nodename().to_string_lossy())
    }

    /// This name.
    pub fn of(host: &str) -> Self {
        let host = if host.is_empty() { "unknown" } else { host };
        Self { host: host.into(), instance: Arc::default() }
    }

    /// Tells the instance's id, as its metadata service gives it. The first that is told counts.
    pub fn tell(&self, instance: String) {
        let _the_first_counts = self.instance.set(instance);
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.instance().unwrap_or(&self.host)
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The instance's id, once it is known.
    pub fn instance(&self) -> Option<&str> {
        self.instance.get().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_is_told_later_and_all_clones_know() {
        let identity = Identity::of("ip-10-0-0-1");
        let clone = identity.clone();
        assert_eq!(clone.name(), "ip-10-0-0-1");
        identity.tell("i-0abc".to_owned());
        identity.tell("i-0def".to_owned());
        assert_eq!(clone.name(), "i-0abc");
        assert_eq!(Identity::of("").name(), "unknown");
        assert!(!Identity::of_host().name().is_empty());
    }
}
