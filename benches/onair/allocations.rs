// SPDX-License-Identifier: MPL-2.0

//! How often memory was allocated in this process, by GLib and GStreamer too: the allocator of the
//! C library, whose names here take the place of those there.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static COUNTS: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Counts from here on. Who does not ask does not pay.
pub(crate) fn begin() {
    COUNTS.store(true, Ordering::Relaxed);
}

fn one() {
    if COUNTS.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// Allocations so far.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    one();
    // SAFETY: what is behind the name that this takes.
    unsafe { __libc_malloc(size) }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    one();
    // SAFETY: as above.
    unsafe { __libc_calloc(count, size) }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
    one();
    // SAFETY: as above.
    unsafe { __libc_realloc(memory, size) }
}
