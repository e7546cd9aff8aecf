// SPDX-License-Identifier: MPL-2.0

//! `rtmptsrc` and `rtmptsink`: `rtmpsrc` and `rtmpsink` under the names that people look for when a
//! firewall lets nothing but HTTP through. They differ in the scheme that is taken where none is named.

glib::wrapper! {
    /// `rtmptsrc` (also `rsrtmptsrc`) plays a stream through HTTP requests, or is the server that
    /// somebody publishes to. It is [`RtmpSrc`](super::RtmpSrc) with rtmpt as its scheme.
    ///
    /// ```text
    /// gst-launch-1.0 rtmptsrc location=rtmpt://media.example/live/test ! flvdemux ! fakesink
    /// ```
    ///
    /// Over HTTPS, through a proxy that wants a password:
    /// ```text
    /// gst-launch-1.0 rtmptsrc location=rtmpts://media.example/live/test \
    ///     http-proxy="joe:$PASSWORD@proxy.example:3128" ! decodebin3 ! autovideosink
    /// ```
    pub struct RtmptSrc(ObjectSubclass<src::RtmptSrc>)
        @extends super::RtmpSrc, gst_base::PushSrc, gst_base::BaseSrc, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

glib::wrapper! {
    /// `rtmptsink` (also `rsrtmptsink`) publishes FLV through HTTP requests. It is
    /// [`RtmpSink`](super::RtmpSink) with rtmpt as its scheme.
    ///
    /// ```text
    /// gst-launch-1.0 filesrc location=test.flv ! rtmptsink location=rtmpt://media.example/live/test
    /// ```
    pub struct RtmptSink(ObjectSubclass<sink::RtmptSink>)
        @extends super::RtmpSink, gst_base::BaseSink, gst::Element, gst::Object,
        @implements gst::URIHandler;
}

/// Schemes that these elements are found by.
const PROTOCOLS: &[&str] = &["rtmpt", "rtmpts", "rtmpte"];

mod src {
    use std::sync::LazyLock;

    use glib::subclass::prelude::*;
    use gst::{prelude::*, subclass::prelude::*};
    use gst_base::subclass::prelude::*;

    use crate::elements::{
        AUTHOR,
        rtmp::{RtmpSrc, Scheme, src::RtmpSrcImpl},
    };

    #[derive(Debug, Default)]
    pub struct RtmptSrc;

    #[glib::object_subclass]
    impl ObjectSubclass for RtmptSrc {
        const NAME: &'static str = "GstRsRtmptSrc";
        type Type = super::RtmptSrc;
        type ParentType = RtmpSrc;
        type Interfaces = (gst::URIHandler,);
    }

    impl ObjectImpl for RtmptSrc {
        fn constructed(&self) {
            self.parent_constructed();
            let obj = self.obj();
            obj.upcast_ref::<RtmpSrc>()
                .set_default_scheme(Scheme::Rtmpt);
        }
    }

    impl GstObjectImpl for RtmptSrc {}

    impl ElementImpl for RtmptSrc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "RTMPT source",
                    "Source/Network",
                    "Plays a live or recorded stream through HTTP requests (RTMPT), or is the server \
                     that somebody publishes to",
                    AUTHOR,
                )
            });
            Some(&METADATA)
        }
    }

    impl BaseSrcImpl for RtmptSrc {}
    impl PushSrcImpl for RtmptSrc {}
    impl RtmpSrcImpl for RtmptSrc {}

    impl URIHandlerImpl for RtmptSrc {
        const URI_TYPE: gst::URIType = gst::URIType::Src;

        fn protocols() -> &'static [&'static str] {
            super::PROTOCOLS
        }

        fn uri(&self) -> Option<String> {
            self.obj().property("location")
        }

        fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
            self.obj().upcast_ref::<RtmpSrc>().set_location(uri)
        }
    }
}

mod sink {
    use std::sync::LazyLock;

    use glib::subclass::prelude::*;
    use gst::{prelude::*, subclass::prelude::*};
    use gst_base::subclass::prelude::*;

    use crate::elements::{
        AUTHOR,
        rtmp::{RtmpSink, Scheme, sink::RtmpSinkImpl},
    };

    #[derive(Debug, Default)]
    pub struct RtmptSink;

    #[glib::object_subclass]
    impl ObjectSubclass for RtmptSink {
        const NAME: &'static str = "GstRsRtmptSink";
        type Type = super::RtmptSink;
        type ParentType = RtmpSink;
        type Interfaces = (gst::URIHandler,);
    }

    impl ObjectImpl for RtmptSink {
        fn constructed(&self) {
            self.parent_constructed();
            let obj = self.obj();
            obj.upcast_ref::<RtmpSink>()
                .set_default_scheme(Scheme::Rtmpt);
        }
    }

    impl GstObjectImpl for RtmptSink {}

    impl ElementImpl for RtmptSink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "RTMPT sink",
                    "Sink/Network",
                    "Publishes FLV to an RTMP server through HTTP requests (RTMPT)",
                    AUTHOR,
                )
            });
            Some(&METADATA)
        }
    }

    impl BaseSinkImpl for RtmptSink {}
    impl RtmpSinkImpl for RtmptSink {}

    impl URIHandlerImpl for RtmptSink {
        const URI_TYPE: gst::URIType = gst::URIType::Sink;

        fn protocols() -> &'static [&'static str] {
            super::PROTOCOLS
        }

        fn uri(&self) -> Option<String> {
            self.obj().property("location")
        }

        fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
            self.obj().upcast_ref::<RtmpSink>().set_location(uri)
        }
    }
}
