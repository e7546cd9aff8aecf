// SPDX-License-Identifier: MPL-2.0

//! The properties, and the settings behind them.

use std::sync::LazyLock;

use gst::prelude::*;

use super::MultitrackKind;
use crate::elements::property::{Property, given, property, switch};

/// Who makes streams and metadata, unless told otherwise.
const NAME: &str = concat!(
    "gst-plugin-rtmp ",
    env!("CARGO_PKG_VERSION"),
    " flvmuxbridge"
);

/// What properties set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) streamable: bool,
    pub(super) metadatacreator: Option<String>,
    pub(super) encoder: Option<String>,
    pub(super) skip_backwards: bool,
    pub(super) enforce_increasing: bool,
    pub(super) prefer_enhanced: bool,
    pub(super) nano_offset: bool,
    pub(super) multitrack: MultitrackKind,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            streamable: false,
            metadatacreator: Some(NAME.to_owned()),
            encoder: Some(NAME.to_owned()),
            skip_backwards: false,
            enforce_increasing: true,
            prefer_enhanced: false,
            nano_offset: false,
            multitrack: MultitrackKind::default(),
        }
    }
}

pub(super) static TABLE: LazyLock<Vec<Property<Settings>>> = LazyLock::new(|| {
    vec![
        switch(
            "streamable",
            "Streamable",
            "Make a stream that begins at once and has no end, for rtmpsink and the like. If false, make a \
             file: its duration, size and an index of its key frames are written into its beginning at \
             the end, which needs a sink that can seek, such as filesink",
            false,
            |s| s.streamable.to_value(),
            |s, v| s.streamable = given(v),
        ),
        property(
            glib::ParamSpecString::builder("metadatacreator")
                .nick("Metadata creator")
                .blurb("Who made the metadata, metadatacreator in onMetaData; empty or NULL for none")
                .default_value(NAME)
                .mutable_ready()
                .build(),
            |s| s.metadatacreator.to_value(),
            |s, v| s.metadatacreator = given(v),
        ),
        property(
            glib::ParamSpecString::builder("encoder")
                .nick("Encoder")
                .blurb("Who made the stream, encoder in onMetaData; empty or NULL for none")
                .default_value(NAME)
                .mutable_ready()
                .build(),
            |s| s.encoder.to_value(),
            |s, v| s.encoder = given(v),
        ),
        switch(
            "skip-backwards-streams",
            "Skip backwards streams",
            "Drop what is older than what has been written, until a stream that went back has caught up",
            false,
            |s| s.skip_backwards.to_value(),
            |s, v| s.skip_backwards = given(v),
        ),
        switch(
            "enforce-increasing-timestamps",
            "Enforce increasing timestamps",
            "Never write a timestamp that is below the one before; what is older gets that one. Servers \
             and players may refuse a stream that goes back",
            true,
            |s| s.enforce_increasing.to_value(),
            |s, v| s.enforce_increasing = given(v),
        ),
        switch(
            "prefer-enhanced",
            "Prefer Enhanced RTMP",
            "Write H.264, AAC and MP3 in the form of Enhanced RTMP too, which carries colours, channel \
             maps and exact times. Pads have flv-track-mode for the same",
            false,
            |s| s.prefer_enhanced.to_value(),
            |s, v| s.prefer_enhanced = given(v),
        ),
        switch(
            "timestamp-nano-offset",
            "Timestamp nano offset",
            "Write the part of presentation times that is below a millisecond, for a receiver that knows \
             ModEx of Enhanced RTMP v2. Classic tags cannot hold it",
            false,
            |s| s.nano_offset.to_value(),
            |s, v| s.nano_offset = given(v),
        ),
        property(
            glib::ParamSpecEnum::builder::<MultitrackKind>("multitrack-type")
                .nick("Multitrack type")
                .blurb(
                    "How tracks that have the same time are put into messages. Others than one-track \
                     save bytes, and few receivers know them",
                )
                .mutable_ready()
                .build(),
            |s| s.multitrack.to_value(),
            |s, v| s.multitrack = given(v),
        ),
    ]
});

pub(super) static SPECS: LazyLock<Vec<glib::ParamSpec>> =
    LazyLock::new(|| TABLE.iter().map(|property| property.spec.clone()).collect());
