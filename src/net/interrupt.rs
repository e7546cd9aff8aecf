// SPDX-License-Identifier: MPL-2.0

//! A cancel that wakes whatever waits, and that is not lost when nothing waits yet.
//!
//! An element's `unlock()` calls [`Interrupt::set()`], `unlock_stop()` calls
//! [`Interrupt::clear()`]. Whoever waits attaches its poll first and asks [`Interrupt::is_set()`]
//! before each wait. The flag goes up before the waker is touched, and attaching looks at the flag
//! after the waker is in place, so that in either order one of the two sees the other: there is no
//! moment at which a cancel falls between "there is nothing to cancel yet" and "too late".

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// A flag, and the waker of the poll that has to notice it.
#[derive(Debug, Default)]
pub struct Interrupt {
    set: AtomicBool,
    waker: Mutex<Option<Arc<mio::Waker>>>,
}

impl Interrupt {
    /// An interrupt that is not set and wakes nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the poll of `registry` the one to wake, with events on `token`, and returns its waker
    /// for others to use: a poll can have only one. If the interrupt is set already, the next poll
    /// returns at once.
    ///
    /// # Errors
    /// The system's, when it is out of file descriptors.
    pub fn attach(
        &self,
        registry: &mio::Registry,
        token: mio::Token,
    ) -> io::Result<Arc<mio::Waker>> {
        let waker = Arc::new(mio::Waker::new(registry, token)?);
        self.replace(Some(waker.clone()));
        Ok(waker)
    }

    /// Puts another waker in place and returns the one before, to be put back later: for a wait
    /// with a poll of its own inside a longer one.
    pub fn replace(&self, waker: Option<Arc<mio::Waker>>) -> Option<Arc<mio::Waker>> {
        let mut slot = self.lock();
        let previous = std::mem::replace(&mut *slot, waker);
        if self.is_set() {
            wake(slot.as_deref());
        }
        previous
    }

    /// Waits for so long, and returns `false` if that was interrupted.
    pub fn sleep(&self, time: std::time::Duration) -> bool {
        const WAKE: mio::Token = mio::Token(0);
        let until = std::time::Instant::now() + time;
        let Ok(mut poll) = mio::Poll::new() else {
            // Out of descriptors: rather try at once than wait without hearing.
            return !self.is_set();
        };
        let Ok(waker) = mio::Waker::new(poll.registry(), WAKE) else {
            return !self.is_set();
        };
        let before = self.replace(Some(Arc::new(waker)));
        let mut events = mio::Events::with_capacity(1);
        while !self.is_set() {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                break;
            }
            // A signal may end it early.
            let _ = poll.poll(&mut events, Some(left));
        }
        self.replace(before);
        !self.is_set()
    }

    /// Ends the wait that is going on without interrupting it, so that whoever waits looks around.
    pub fn nudge(&self) {
        wake(self.lock().as_deref());
    }

    /// Interrupts the wait that is going on, or the next one.
    pub fn set(&self) {
        self.set.store(true, Ordering::SeqCst);
        wake(self.lock().as_deref());
    }

    /// Allows waits again.
    pub fn clear(&self) {
        self.set.store(false, Ordering::SeqCst);
    }

    /// Whether waits have to end.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<mio::Waker>>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<&mio::Waker>) {
    if let Some(waker) = waker {
        // An eventfd write fails only when its counter is full, and then the poll wakes anyway.
        let _ = waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread, time::Duration};

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn a_sleep_ends_in_time_or_when_interrupted() {
        let interrupt = Arc::new(Interrupt::new());
        assert!(interrupt.sleep(Duration::from_millis(20)));
        let other = interrupt.clone();
        let sleeper = thread::spawn(move || other.sleep(Duration::from_secs(20)));
        thread::sleep(Duration::from_millis(20));
        let begun = std::time::Instant::now();
        interrupt.set();
        assert!(!sleeper.join().unwrap());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    const LONG: Option<Duration> = Some(Duration::from_secs(20));

    fn wakes(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(1);
        poll.poll(&mut events, LONG).unwrap();
        events.iter().any(|event| event.token() == Token(7))
    }

    #[test]
    fn set_before_the_wait_ends_it_at_once() {
        let mut poll = Poll::new().unwrap();
        let interrupt = Interrupt::new();
        interrupt.attach(poll.registry(), Token(7)).unwrap();
        interrupt.set();
        assert!(wakes(&mut poll));
        assert!(interrupt.is_set());
        interrupt.clear();
        assert!(!interrupt.is_set());
    }

    #[test]
    fn set_before_attaching_is_remembered() {
        let mut poll = Poll::new().unwrap();
        let interrupt = Interrupt::new();
        interrupt.set();
        interrupt.attach(poll.registry(), Token(7)).unwrap();
        assert!(wakes(&mut poll));
    }

    #[test]
    fn the_waker_before_is_told_when_it_comes_back() {
        let mut outer = Poll::new().unwrap();
        let interrupt = Interrupt::new();
        interrupt.attach(outer.registry(), Token(7)).unwrap();
        let inner = Poll::new().unwrap();
        let previous = interrupt.replace(Some(Arc::new(
            mio::Waker::new(inner.registry(), Token(0)).unwrap(),
        )));
        interrupt.set();
        interrupt.replace(previous);
        assert!(wakes(&mut outer));
    }

    #[test]
    fn no_order_of_set_and_attach_loses_the_cancel() {
        for _ in 0..500 {
            let interrupt = Arc::new(Interrupt::new());
            let start = Arc::new(Barrier::new(2));
            let setter = thread::spawn({
                let (interrupt, start) = (interrupt.clone(), start.clone());
                move || {
                    start.wait();
                    interrupt.set();
                }
            });
            let mut poll = Poll::new().unwrap();
            start.wait();
            interrupt.attach(poll.registry(), Token(7)).unwrap();
            assert!(wakes(&mut poll));
            setter.join().unwrap();
        }
    }
}
