// SPDX-License-Identifier: MPL-2.0

//! How the streaming thread of a sink keeps out of the way of a pause.
//!
//! The base class holds its preroll lock around `render()` and around every serialised event. Whoever
//! waits in there for the network wakes when told to ([`unlock`]) and waits on in
//! [`wait_preroll()`](BaseSinkExtManual::wait_preroll), which lets go of the lock; a pause, PLAYING and
//! NULL all need it.
//!
//! The base class alone is not enough. It takes a thread for prerolled that it has told to go on and
//! that has not woken yet. A pause that comes then interrupts nobody and asks for no preroll, and the
//! thread goes on in PAUSED, with the lock, into the next wait for the network: the way back to PLAYING
//! hangs as long as the network does.
//!
//! [`unlock`]: gst_base::subclass::prelude::BaseSinkImpl::unlock

use std::sync::atomic::{AtomicBool, Ordering};

use gst::glib::{ffi, translate::ToGlibPtr};
use gst_base::prelude::*;

/// Whether the element is paused, or on its way there or from there.
#[derive(Debug, Default)]
pub(super) struct Pauses(AtomicBool);

impl Pauses {
    /// To be called before the base class pauses, so that whoever it interrupts knows.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// The base class asks for a preroll by itself: at the start, and after a flush.
    pub(super) fn forget(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// To be called once the base class plays. Before that the lock it needs would be taken by whoever
    /// goes on.
    pub(super) fn end(&self, sink: &gst_base::BaseSink) {
        if !self.0.load(Ordering::SeqCst) {
            return;
        }
        let sink: *mut gst_base::ffi::GstBaseSink = sink.to_glib_none().0;
        // Safety: the lock and the condition are there for subclasses, and live as long as the element,
        // which is borrowed. Nobody waits for the network while it holds the lock: see `pass()`.
        unsafe {
            let lock = &raw mut (*sink).preroll_lock;
            ffi::g_mutex_lock(lock);
            self.0.store(false, Ordering::SeqCst);
            ffi::g_cond_signal(&raw mut (*sink).preroll_cond);
            ffi::g_mutex_unlock(lock);
        }
    }

    /// To be called before a wait for the network: in a pause it waits for the end of that first.
    ///
    /// # Errors
    /// The stream is to end, or to be flushed.
    pub(super) fn pass(&self, sink: &gst_base::BaseSink) -> Result<(), gst::FlowError> {
        while self.0.load(Ordering::SeqCst) {
            sink.wait_preroll()?;
        }
        Ok(())
    }

    /// To be called after an interruption, which may be a pause as well as the end; the base class
    /// knows.
    ///
    /// # Errors
    /// The stream is to end, or to be flushed.
    pub(super) fn wait_out(&self, sink: &gst_base::BaseSink) -> Result<(), gst::FlowError> {
        sink.wait_preroll()?;
        self.pass(sink)
    }
}
