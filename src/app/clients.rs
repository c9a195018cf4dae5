//! Clients of Amazon's services: one pool of connections and one set of credentials for the whole process.

use tokio::sync::OnceCell;

use crate::aws::Clients;
use crate::config::keys::Config;

/// The process's clients, made for whoever is first to ask; a machine without fleet and group has none.
#[derive(Debug, Default)]
pub(super) struct Shared(OnceCell<Clients>);

impl Shared {
    /// The clients. Nothing is asked of anybody yet.
    pub(super) async fn get(&self, config: &Config) -> &Clients {
        self.0.get_or_init(|| Clients::from_environment(config.aws.places())).await
    }
}
