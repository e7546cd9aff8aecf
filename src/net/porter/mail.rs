// SPDX-License-Identifier: MPL-2.0

//! What an application has to say to a caller, left for the thread that serves it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// Asks a caller to go on over another connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconnectRequest {
    /// Where to, absolute or relative to the URL that the caller came by; the same server where absent.
    pub tc_url: Option<String>,
    /// For people.
    pub description: Option<String>,
}

/// A letter box for one. A second letter takes the place of the first.
#[derive(Debug, Default)]
pub struct Mail {
    /// Looked at much more often than there is a letter.
    full: AtomicBool,
    letter: Mutex<Option<ReconnectRequest>>,
}

impl Mail {
    /// Puts a letter in.
    pub fn put(&self, letter: ReconnectRequest) {
        *self.letter.lock().unwrap_or_else(PoisonError::into_inner) = Some(letter);
        self.full.store(true, Ordering::Release);
    }

    /// Takes the letter out.
    pub fn take(&self) -> Option<ReconnectRequest> {
        if !self.full.load(Ordering::Relaxed) || !self.full.swap(false, Ordering::Acquire) {
            return None;
        }
        self.letter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
