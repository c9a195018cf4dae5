//! How a client learns that its subscriptions have been read: a `ping` written after them, and the `pong` to it.

use tokio::sync::oneshot;

/// What one connection waits to hear. At most one ping is under way, so pongs need no names, and all who come
/// meanwhile share the next one.
#[derive(Debug, Default)]
pub(super) struct Fences {
    /// Those whose ping is under way.
    flying: Option<Vec<oneshot::Sender<()>>>,
    /// Those who came after it was sent.
    waiting: Vec<oneshot::Sender<()>>,
}

/// Whether a ping has to be written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Ping,
    Nothing,
}

impl Fences {
    /// A fence behind everything written so far. It falls with an error when the connection does.
    pub(super) fn plant(&mut self) -> (oneshot::Receiver<()>, Write) {
        let (sender, passed) = oneshot::channel();
        if self.flying.is_some() {
            self.waiting.push(sender);
            return (passed, Write::Nothing);
        }
        self.flying = Some(vec![sender]);
        (passed, Write::Ping)
    }

    /// The ping under way has been answered, or is given up as lost.
    pub(super) fn pass(&mut self) -> Write {
        for sender in self.flying.take().into_iter().flatten() {
            // Whoever does not wait any more need not be told.
            let _gone = sender.send(()).is_err();
        }
        if self.waiting.is_empty() {
            return Write::Nothing;
        }
        self.flying = Some(std::mem::take(&mut self.waiting));
        Write::Ping
    }

    /// The connection is over: every fence falls.
    pub(super) fn fall(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fence_falls_with_its_connection() {
        let mut fences = Fences::default();
        let (mut first, _) = fences.plant();
        let (mut second, _) = fences.plant();
        fences.fall();
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(fences.pass(), Write::Nothing, "a stray pong concerns nobody");
    }

    proptest! {
        /// Whatever the interleaving, a fence passes by the pong to a ping that was written after it was planted.
        #[test]
        fn no_fence_passes_before_its_own_ping_is_answered(plants in proptest::collection::vec(any::<bool>(), 0..60)) {
            let (mut fences, mut planted) = (Fences::default(), Vec::new());
            let (mut pings, mut pongs) = (0_u32, 0_u32);
            for plant in plants {
                let write = if plant {
                    let (passed, write) = fences.plant();
                    // The ping that will be written next, or now, is the first one behind this fence.
                    planted.push((pings + 1, passed));
                    write
                } else if pongs < pings {
                    pongs += 1;
                    fences.pass()
                } else {
                    Write::Nothing
                };
                pings += u32::from(write == Write::Ping);
                prop_assert!(pings - pongs <= 1);
                for (ping, passed) in &mut planted {
                    prop_assert_eq!(passed.try_recv().is_ok(), *ping == pongs && !plant);
                }
                planted.retain(|(ping, _)| *ping > pongs);
            }
        }
    }
}
