//! Where bytes go that are too many for a message.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::domain::class::{Class, Classify};
use crate::ports::{Cause, Pending};

/// Where a blob is. Whether a bucket may be read at all is decided above, from configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobAddress {
    /// The bucket.
    pub bucket: String,
    /// The key within.
    pub key: String,
}

/// Part of a blob store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPlace {
    /// The bucket.
    pub bucket: String,
    /// What every key starts with.
    pub prefix: String,
}

/// Bytes too many for a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob {
    /// The bytes.
    pub bytes: Bytes,
    /// Their media type.
    pub content_type: String,
    /// Small facts beside them.
    pub metadata: BTreeMap<String, String>,
}

/// A store of blobs by address.
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// The blob, or `None` when there is none. More than `cap` bytes are refused before they are read into memory.
    fn get<'a>(&'a self, at: &'a BlobAddress, cap: u64) -> Pending<'a, Result<Option<Blob>, BlobError>>;

    /// Resolves once the store has the whole blob; readers see the old one or the new one, never a part.
    fn put<'a>(&'a self, at: &'a BlobAddress, blob: Blob) -> Pending<'a, Result<(), BlobError>>;
}

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The store did not answer, or said "later".
    #[error("could not {act} blob {at}")]
    Unreachable {
        /// The verb: get, put.
        act: &'static str,
        /// Which blob.
        at: BlobAddress,
        /// What the adapter knows.
        #[source]
        source: Cause,
    },
    /// It is larger than asked for, or than the store takes.
    #[error("blob {at} has {bytes} bytes, more than the {cap} allowed")]
    TooLarge {
        /// Which blob.
        at: BlobAddress,
        /// Its size.
        bytes: u64,
        /// What is allowed.
        cap: u64,
    },
}

impl BlobPlace {
    /// Where `name` lies in this place.
    pub fn at(&self, name: &str) -> BlobAddress {
        BlobAddress { bucket: self.bucket.clone(), key: format!("{}{name}", self.prefix) }
    }

    /// Whether `at` lies in this place, and its key cannot be read as leading out of it.
    pub fn holds(&self, at: &BlobAddress) -> bool {
        at.bucket == self.bucket
            && at.key.strip_prefix(&self.prefix).is_some_and(|rest| {
                !rest.is_empty() && !rest.contains("..") && !rest.chars().any(char::is_control)
            })
    }
}

impl fmt::Display for BlobAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

impl Classify for BlobError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => Class::Upstream,
            Self::TooLarge { .. } => Class::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agreed_place_is_read() {
        let place = BlobPlace { bucket: "b".to_owned(), prefix: "overflow/".to_owned() };
        for (bucket, key, expected) in [
            ("b", "overflow/prod/2026-01-02/7d3c.json", true),
            ("c", "overflow/x", false),
            ("b", "other/x", false),
            ("b", "overflow/", false),
            ("b", "overflow/../secret", false),
            ("b", "overflow/a\nb", false),
            ("", "", false),
        ] {
            let at = BlobAddress { bucket: bucket.to_owned(), key: key.to_owned() };
            assert_eq!(place.holds(&at), expected, "{at}");
        }
    }
}
