// SPDX-License-Identifier: MPL-2.0

//! Somebody who watches while others misbehave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{
    client::Client,
    station::Live,
    support::{
        flvdump::{self, Expect},
        process::wait_until,
    },
};

/// A player that reads all the while, and what it got.
pub(crate) struct Witness {
    pub(crate) over: Arc<AtomicBool>,
    pub(crate) thread: JoinHandle<Client>,
}

impl Witness {
    pub(crate) fn of(live: &Live) -> Self {
        let mut client = Client::connected(live.station.port, "live");
        let stream = client.create_stream();
        client.play(stream, "one");
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                client.read().expect("the stream goes on");
            }
            client
        });
        Self { over, thread }
    }

    /// Not one frame is missing, here or elsewhere.
    #[track_caller]
    pub(crate) fn has_missed_nothing(self, live: &Live) {
        self.has_seen_all(live);
        assert_eq!(live.station.stats::<u64>("dropped-tags"), 0);
    }

    /// Not one frame is missing here.
    #[track_caller]
    pub(crate) fn has_seen_all(self, live: &Live) {
        // A second more, so that what was amiss had the time to show.
        let tags = live.station.stats::<u64>("tags");
        wait_until("a second more", || {
            live.station.stats::<u64>("tags") > tags + 100
        });
        self.over.store(true, Ordering::SeqCst);
        let client = self.thread.join().expect("the witness");
        let expect = Expect {
            headers: false,
            ..Expect::LIVE
        };
        let run = flvdump::assert_same(&live.sent, &client.packets(), expect);
        assert!(run.matched > 68, "{run:?}");
    }
}
