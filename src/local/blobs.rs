//! Blobs in this process's memory, bounded: the oldest make room for the newest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use crate::local::lock;
use crate::ports::{Blob, BlobAddress, BlobError, BlobStore, Pending};

/// A store that holds so many bytes at most.
#[derive(Debug)]
pub struct LocalBlobs {
    capacity: u64,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    blobs: BTreeMap<BlobAddress, Blob>,
    /// Addresses, oldest first; one entry per blob.
    order: VecDeque<BlobAddress>,
    held: u64,
}

impl LocalBlobs {
    /// A store that holds `capacity` bytes at most.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, shelf: Mutex::default() }
    }

    /// Bytes held now.
    pub fn held(&self) -> u64 {
        lock(&self.shelf).held
    }
}

impl BlobStore for LocalBlobs {
    fn get<'a>(&'a self, at: &'a BlobAddress, cap: u64) -> Pending<'a, Result<Option<Blob>, BlobError>> {
        Box::pin(async move {
            let found = lock(&self.shelf).blobs.get(at).cloned();
            match found.as_ref().map(size) {
                Some(bytes) if bytes > cap => Err(BlobError::TooLarge { at: at.clone(), bytes, cap }),
                _ => Ok(found),
            }
        })
    }

    fn put<'a>(&'a self, at: &'a BlobAddress, blob: Blob) -> Pending<'a, Result<(), BlobError>> {
        Box::pin(async move {
            let (bytes, cap) = (size(&blob), self.capacity);
            if bytes > cap {
                return Err(BlobError::TooLarge { at: at.clone(), bytes, cap });
            }
            let mut shelf = lock(&self.shelf);
            shelf.remove(at);
            while shelf.held + bytes > cap {
                let Some(oldest) = shelf.order.front().cloned() else { break };
                shelf.remove(&oldest);
            }
            shelf.held += bytes;
            shelf.order.push_back(at.clone());
            shelf.blobs.insert(at.clone(), blob);
            Ok(())
        })
    }
}

impl Shelf {
    fn remove(&mut self, at: &BlobAddress) {
        if let Some(old) = self.blobs.remove(at) {
            self.held -= size(&old);
            self.order.retain(|known| known != at);
        }
    }
}

fn size(blob: &Blob) -> u64 {
    blob.bytes.len() as u64
}
