//! The results that this process has sent and for which no receipt has come.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::ids::RequestId;
use crate::domain::recent::Recent;

/// How long a receipt is remembered, so that offering the same result again ends at once (D6).
const RECEIPT_MEMORY: Duration = Duration::from_mins(2);
/// Receipts remembered; two minutes' worth at a thousand a second.
const MOST_RECEIPTS: usize = 120_000;

/// All open offers.
#[derive(Debug)]
pub(super) struct Offers {
    open: BTreeMap<Key, Offer>,
    bytes: usize,
    receipts: Recent<()>,
    /// Numbers offers, because one result may be offered twice at once.
    last: u64,
}

/// One offer's name.
pub(super) type Key = (RequestId, u64);

#[derive(Debug)]
struct Offer {
    bytes: usize,
    /// The connection that took it last.
    carrier: Option<u64>,
    news: watch::Sender<News>,
}

/// What an offer has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It stands.
    Open,
    /// The connection that took it is over: it may not have arrived.
    Orphaned,
    /// The receipt is here.
    Acknowledged,
    /// The hub closed the connection because this is too large.
    Refused,
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            open: BTreeMap::new(),
            bytes: 0,
            receipts: Recent::new(RECEIPT_MEMORY, MOST_RECEIPTS),
            last: 0,
        }
    }
}

impl Offers {
    /// Opens an offer of so many bytes, unless its receipt is here already.
    pub(super) fn open(&mut self, id: &RequestId, bytes: usize) -> Option<(Key, watch::Receiver<News>)> {
        if self.receipts.recall(id).is_some() {
            return None;
        }
        self.last += 1;
        let key = (id.clone(), self.last);
        let (news, heard) = watch::channel(News::Open);
        self.bytes += bytes;
        self.open.insert(key.clone(), Offer { bytes, carrier: None, news });
        Some((key, heard))
    }

    /// Ends an offer.
    pub(super) fn close(&mut self, key: &Key) {
        if let Some(offer) = self.open.remove(key) {
            self.bytes -= offer.bytes;
        }
    }

    /// The connection that took it last.
    pub(super) fn carrier(&self, key: &Key) -> Option<u64> {
        self.open.get(key)?.carrier
    }

    /// A connection has taken it.
    pub(super) fn taken(&mut self, key: &Key, carrier: u64) {
        if let Some(offer) = self.open.get_mut(key) {
            offer.carrier = Some(carrier);
        }
    }

    /// A receipt has come. One for a result that we do not offer is somebody's mistake, and is not remembered.
    pub(super) fn acknowledged(&mut self, id: &RequestId) {
        let mut ours = false;
        for (_, offer) in self.open.range((id.clone(), 0)..=(id.clone(), u64::MAX)) {
            ours = true;
            offer.news.send_replace(News::Acknowledged);
        }
        if ours {
            self.receipts.remember(id.clone(), ());
        }
    }

    /// A connection is over. If it was closed over the size of a message, that was its largest: the limit is one for
    /// all, so if any was over it, the largest was.
    pub(super) fn orphan(&mut self, carrier: u64, oversized: bool) {
        let orphans = || self.open.iter().filter(move |(_, offer)| offer.carrier == Some(carrier));
        let largest = orphans().max_by_key(|(_, offer)| offer.bytes).filter(|_| oversized);
        let refused = largest.map(|(key, _)| key.clone());
        for (key, offer) in orphans() {
            let news = if Some(key) == refused.as_ref() { News::Refused } else { News::Orphaned };
            // A receipt that is here already is the last news.
            offer.news.send_if_modified(|current| {
                let open = matches!(current, News::Open | News::Orphaned);
                *current = if open { news } else { *current };
                open
            });
        }
    }

    /// Open offers.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> RequestId {
        RequestId::parse(&format!("r{number}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_largest_is_to_blame_for_an_oversized_message() {
        let mut offers = Offers::default();
        let (small, small_news) = offers.open(&id(1), 10).unwrap();
        let (large, large_news) = offers.open(&id(2), 20).unwrap();
        let (other, other_news) = offers.open(&id(3), 30).unwrap();
        offers.taken(&small, 1);
        offers.taken(&large, 1);
        offers.taken(&other, 2);
        offers.orphan(1, true);
        let news = [&small_news, &large_news, &other_news].map(|news| *news.borrow());
        assert_eq!(news, [News::Orphaned, News::Refused, News::Open]);
        offers.acknowledged(&id(3));
        offers.orphan(2, true);
        assert_eq!(*other_news.borrow(), News::Acknowledged, "what has arrived was not too large");
    }

    #[tokio::test(start_paused = true)]
    async fn a_receipt_for_nothing_is_not_remembered() {
        let mut offers = Offers::default();
        offers.acknowledged(&id(1));
        let (key, news) = offers.open(&id(1), 1).unwrap();
        let (twin, twin_news) = offers.open(&id(1), 1).unwrap();
        offers.acknowledged(&id(1));
        assert_eq!((*news.borrow(), *twin_news.borrow()), (News::Acknowledged, News::Acknowledged));
        offers.close(&key);
        offers.close(&twin);
        assert!(offers.open(&id(1), 1).is_none());
        tokio::time::advance(RECEIPT_MEMORY).await;
        assert!(offers.open(&id(1), 1).is_some());
    }

    proptest! {
        /// Bytes and count are those of what is open, whatever happens in whatever order.
        #[test]
        fn the_sum_is_kept(steps in proptest::collection::vec((0_u8..5, 0_u8..4, 0_usize..100), 0..80)) {
            let mut offers = Offers::default();
            let mut open: Vec<(Key, usize)> = Vec::new();
            for (step, name, size) in steps {
                match step {
                    0 | 1 => open.extend(offers.open(&id(name), size).map(|(key, _)| (key, size))),
                    2 if !open.is_empty() => {
                        let (key, _) = open.swap_remove(size % open.len());
                        offers.close(&key);
                        offers.close(&key);
                    }
                    3 => offers.acknowledged(&id(name)),
                    _ => offers.orphan(u64::from(name), size % 2 == 0),
                }
                prop_assert_eq!(offers.len(), open.len());
                prop_assert_eq!(offers.bytes(), open.iter().map(|(_, size)| size).sum::<usize>());
            }
        }
    }
}
