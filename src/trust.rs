//! Whom this machine trusts to be who they say they are.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// TLS as a client: the certificate authorities of this machine, of which there may be none, and how many they are. The
/// cryptography is named, because other crates may bring in another one.
pub fn client() -> Result<(ClientConfig, usize), rustls::Error> {
    let mut roots = RootCertStore::empty();
    let (count, _unreadable) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, count))
}
