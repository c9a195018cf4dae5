//! Whether anything may still come from a queue, as told by whoever receives from it.
//!
//! A pause says what is wanted, and this what is so: a receive that was under way when the pause began may bring more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Open from before the first receive until after the last. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Intake(Arc<AtomicBool>);

/// Keeps an [`Intake`] open; its drop, by whatever way, shuts it.
#[derive(Debug)]
pub struct Taking(Intake);

impl Intake {
    /// Opens it, for the one who receives.
    pub fn open(&self) -> Taking {
        self.0.store(true, Ordering::SeqCst);
        Taking(self.clone())
    }

    /// Whether more may come.
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_while_somebody_takes() {
        let intake = Intake::default();
        assert!(!intake.is_open());
        let taking = intake.clone().open();
        assert!(intake.is_open());
        drop(taking);
        assert!(!intake.is_open());
    }
}
