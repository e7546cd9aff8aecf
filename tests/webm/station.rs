// SPDX-License-Identifier: MPL-2.0

//! A webmhttpsink that the test feeds.

use gst::prelude::*;

use crate::{
    client::Client,
    support::{pipeline::Pipeline, process::wait_until},
};

#[derive(Debug)]
pub struct Station {
    pub pipeline: Pipeline,
    pub sink: gst::Element,
    source: gst_app::AppSrc,
    pub port: u16,
    sent: std::cell::Cell<u64>,
}

impl Station {
    /// On a free port of 127.0.0.1, with more properties.
    #[track_caller]
    pub fn new(properties: &str) -> Self {
        let station = Self::prepare(properties);
        station.start()
    }

    /// The same, not started, for signals to be connected.
    #[track_caller]
    pub fn prepare(properties: &str) -> Self {
        let line = format!(
            "appsrc name=in format=bytes caps=video/webm ! \
             webmhttpsink name=sink address=127.0.0.1 port=0 sync=false {properties}"
        );
        let pipeline = Pipeline::launch(&line);
        let source = pipeline.element("in").downcast().expect("an appsrc");
        Self {
            sink: pipeline.element("sink"),
            pipeline,
            source,
            port: 0,
            sent: Default::default(),
        }
    }

    #[track_caller]
    pub fn start(mut self) -> Self {
        self.pipeline.play();
        let listening = self.pipeline.notice("webm-listening");
        self.port = listening.get::<i32>("port").expect("a port") as u16;
        self
    }

    /// Pushes bytes in pieces and waits until the sink has them all.
    #[track_caller]
    pub fn push(&self, bytes: &[u8]) {
        for piece in bytes.chunks(999) {
            let buffer = gst::Buffer::from_slice(piece.to_vec());
            self.source.push_buffer(buffer).expect("a running pipeline");
        }
        self.sent.set(self.sent.get() + bytes.len() as u64);
        wait_until("the sink has all bytes", || {
            self.stat::<u64>("bytes-received") == self.sent.get()
        });
    }

    /// Pushes bytes that need not be taken.
    pub fn push_anything(&self, bytes: &[u8]) {
        let _ = self
            .source
            .push_buffer(gst::Buffer::from_slice(bytes.to_vec()));
    }

    pub fn end(&self) {
        self.source.end_of_stream().expect("a running pipeline");
    }

    pub fn stats(&self) -> gst::Structure {
        self.sink.property("stats")
    }

    #[track_caller]
    pub fn stat<T: for<'a> glib::value::FromValue<'a>>(&self, name: &str) -> T {
        let value = self.stats().value(name).expect("a field").clone();
        value
            .get::<T>()
            .unwrap_or_else(|_| panic!("{name} is of another type"))
    }

    /// Waits until this many watch.
    #[track_caller]
    pub fn wait_for_clients(&self, count: u32) {
        wait_until("the clients are there", || {
            self.stat::<u32>("clients") == count
        });
    }

    /// Asks for this path, with more header fields.
    #[track_caller]
    pub fn get(&self, path: &str, fields: &str) -> Client {
        Client::ask(
            self.port,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"),
        )
    }

    /// Watches the stream, and waits until the element knows.
    #[track_caller]
    pub fn watch(&self) -> Client {
        let before = self.stat::<u32>("clients");
        let client = self.get("/live", "");
        assert_eq!(client.status, 200);
        self.wait_for_clients(before + 1);
        client
    }
}
