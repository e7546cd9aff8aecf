// SPDX-License-Identifier: MPL-2.0

//! `rtmpsink`.

mod air;
mod imp;
mod listen;
mod notices;
mod outlet;
mod pauses;
mod station;

use glib::subclass::prelude::*;
use gst_base::subclass::prelude::*;

use super::kinds::Scheme;

glib::wrapper! {
    /// `rtmpsink` (also `rsrtmpsink`) publishes FLV to an RTMP server, or is the server that players
    /// connect to.
    ///
    /// Publish a test picture and tone:
    /// ```text
    /// gst-launch-1.0 flvmux name=mux streamable=true ! rtmpsink location=rtmp://localhost/live/test \
    ///     videotestsrc is-live=true ! x264enc tune=zerolatency key-int-max=60 ! h264parse ! mux. \
    ///     audiotestsrc is-live=true ! voaacenc ! aacparse ! mux.
    /// ```
    ///
    /// Publish a file as it is, in real time:
    /// ```text
    /// gst-launch-1.0 filesrc location=test.flv ! rtmpsink location=rtmp://localhost/live/test
    /// ```
    ///
    /// A service that wants a key, over TLS. The key is the stream's name and stands in `location`
    /// or in `stream`, where it also stays what it is if it holds a slash:
    /// ```text
    /// gst-launch-1.0 filesrc location=test.flv ! rtmpsink location=rtmps://live.example/app stream="$KEY"
    /// ```
    ///
    /// A server that asks for a name and a password:
    /// ```text
    /// gst-launch-1.0 filesrc location=test.flv ! \
    ///     rtmpsink location=rtmp://localhost/live/test username=joe password="$PASSWORD"
    /// ```
    ///
    /// Be the server; then play `rtmp://<this host>/live/test` with VLC, ffplay or `rtmpsrc`:
    /// ```text
    /// gst-launch-1.0 flvmux name=mux streamable=true ! \
    ///     rtmpsink mode=listener location=rtmp://0.0.0.0:1935/live/test \
    ///     videotestsrc is-live=true ! x264enc tune=zerolatency key-int-max=60 ! h264parse ! mux. \
    ///     audiotestsrc is-live=true ! voaacenc ! aacparse ! mux.
    /// ```
    ///
    /// Be a server for a publisher and any number of players, on one port:
    /// ```text
    /// gst-launch-1.0 rtmpsrc mode=listener location=rtmp://0.0.0.0:1935/live/test keep-listening=true ! \
    ///     rtmpsink mode=listener location=rtmp://0.0.0.0:1935/live/test sync=false
    /// ```
    pub struct RtmpSink(ObjectSubclass<imp::RtmpSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

impl RtmpSink {
    /// Takes this scheme where neither a property nor the location names one.
    pub(super) fn set_default_scheme(&self, scheme: Scheme) {
        self.imp().set_default_scheme(scheme);
    }

    /// See the property of this name.
    ///
    /// # Errors
    /// It is none, or the element runs.
    pub(super) fn set_location(&self, location: &str) -> Result<(), glib::Error> {
        self.imp().set_location(location)
    }
}

/// What a face of the element may override.
pub(super) trait RtmpSinkImpl: BaseSinkImpl {}

// SAFETY: the class has no virtual methods of its own.
unsafe impl<T: RtmpSinkImpl> IsSubclassable<T> for RtmpSink {}
