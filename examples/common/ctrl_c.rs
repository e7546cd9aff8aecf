// SPDX-License-Identifier: MPL-2.0

//! Ctrl-C, noticed once. A second one ends the program as usual.

use std::sync::atomic::{AtomicBool, Ordering};

static PRESSED: AtomicBool = AtomicBool::new(false);

/// Begins to notice.
pub(crate) fn watch() {
    extern "C" fn note(_: libc::c_int) {
        PRESSED.store(true, Ordering::SeqCst);
    }
    let note = note as extern "C" fn(libc::c_int);
    // SAFETY: the structure is plain data for which zeroes are valid, and the handler only stores
    // to an atomic, which a signal handler may do.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as libc::sighandler_t;
        action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
        libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
    }
}

/// Whether it was pressed since the last question.
pub(crate) fn pressed() -> bool {
    PRESSED.swap(false, Ordering::SeqCst)
}
