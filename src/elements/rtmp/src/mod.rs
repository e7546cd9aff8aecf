// SPDX-License-Identifier: MPL-2.0

//! `rtmpsrc`.

mod announce;
mod board;
mod imp;
mod metadata;
mod stream;
mod tags;
mod timeline;

use glib::subclass::prelude::*;
use gst_base::subclass::prelude::*;

use super::kinds::Scheme;

glib::wrapper! {
    /// `rtmpsrc` (also `rsrtmpsrc`) plays a stream from an RTMP server, or is the server that
    /// somebody publishes to.
    ///
    /// What comes out is FLV, one tag a buffer, for `flvdemux`. A live stream is a live source:
    /// put a queue behind it and let the sinks synchronise.
    ///
    /// Play a live stream:
    /// ```text
    /// gst-launch-1.0 rtmpsrc location=rtmp://localhost/live/test ! decodebin3 ! autovideosink
    /// ```
    ///
    /// Write a stream to a file as it is, with sound and picture, until the publisher stops:
    /// ```text
    /// gst-launch-1.0 rtmpsrc location=rtmp://localhost/live/test ! filesink location=test.flv
    /// ```
    ///
    /// The same with librtmp's options, each of which is also a property:
    /// ```text
    /// gst-launch-1.0 rtmpsrc location="rtmp://localhost/live/test live=1 timeout=15" ! fakesink
    /// gst-launch-1.0 rtmpsrc location=rtmp://localhost/live/test live=live timeout=15 ! fakesink
    /// ```
    ///
    /// Be the server; then publish to `rtmp://<this host>/live/test` with OBS or
    /// `ffmpeg -re -i file.mp4 -c copy -f flv rtmp://localhost/live/test`:
    /// ```text
    /// gst-launch-1.0 rtmpsrc mode=listener location=rtmp://0.0.0.0:1935/live/test ! decodebin3 ! autovideosink
    /// ```
    ///
    /// A server whose certificate only your own authority vouches for:
    /// ```text
    /// gst-launch-1.0 rtmpsrc location=rtmps://media.example/live/test tls-ca-file=ca.pem ! fakesink
    /// ```
    pub struct RtmpSrc(ObjectSubclass<imp::RtmpSrc>)
        @extends gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

impl RtmpSrc {
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
pub(super) trait RtmpSrcImpl: PushSrcImpl {}

// SAFETY: the class has no virtual methods of its own.
unsafe impl<T: RtmpSrcImpl> IsSubclassable<T> for RtmpSrc {}
