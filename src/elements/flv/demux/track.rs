// SPDX-License-Identifier: MPL-2.0

//! One track and its pad.

use gst::{BufferFlags, ClockTime, prelude::*, subclass::prelude::*};

use super::{
    super::caps::{audio::AudioFormat, video::VideoFormat},
    FlvDemuxBridge, imp,
};
use crate::protocol::flv::head::Codec;

/// What a track carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Video(VideoFormat),
    Audio(AudioFormat),
}

impl Format {
    fn to_caps(&self) -> Option<gst::Caps> {
        match self {
            Self::Video(format) => format.to_caps(),
            Self::Audio(format) => format.to_caps(),
        }
    }
}

/// Pictures or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// A track that has been heard of.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) kind: Kind,
    /// 0 of what is in no track.
    pub(super) id: u8,
    /// How the stream names the codec.
    pub(super) name: Codec,
    pub(super) format: Format,
    /// From the first caps on.
    pub(super) pad: Option<gst::Pad>,
    caps: Option<gst::Caps>,
    /// The format is not the one that the caps were made of.
    pub(super) dirty: bool,
    pub(super) segment_due: bool,
    pub(super) tags_due: bool,
    pub(super) discont: bool,
    /// Up to where it has been told of since the last jump, in ms.
    pub(super) reached: Option<i64>,
    /// A frame was dropped because there are no caps.
    pub(super) dropped: bool,
}

impl Track {
    pub(super) fn new(kind: Kind, id: u8, name: Codec, format: Format) -> Self {
        Self {
            kind,
            id,
            name,
            format,
            pad: None,
            caps: None,
            dirty: true,
            segment_due: true,
            tags_due: true,
            discont: true,
            reached: None,
            dropped: false,
        }
    }

    /// The name of its pad.
    fn pad_name(&self) -> String {
        let kind = match self.kind {
            Kind::Video => "video",
            Kind::Audio => "audio",
        };
        match self.id {
            0 => kind.to_owned(),
            id => format!("{kind}_{id}"),
        }
    }

    /// Brings pad and caps up to the format. `false` where there can be no caps yet, else whether the
    /// pad is new.
    pub(super) fn update(
        &mut self,
        element: &FlvDemuxBridge,
        stream_start: impl FnOnce(&gst::Pad) -> gst::Event,
    ) -> Option<bool> {
        if !self.dirty && self.pad.is_some() {
            return Some(false);
        }
        let caps = self.format.to_caps()?;
        self.dirty = false;
        if let Some(pad) = &self.pad {
            if self.caps.as_ref() != Some(&caps) {
                pad.push_event(gst::event::Caps::new(&caps));
                self.caps = Some(caps);
            }
            return Some(false);
        }
        let name = self.pad_name();
        let template = match (self.kind, self.id) {
            (Kind::Video, 0) => "video",
            (Kind::Video, _) => "video_%u",
            (Kind::Audio, 0) => "audio",
            (Kind::Audio, _) => "audio_%u",
        };
        let template = element.pad_template(template)?;
        let pad = gst::Pad::builder_from_template(&template)
            .name(&name)
            .event_function(|pad, parent, event| {
                imp::FlvDemuxBridge::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| imp.source_event(pad, event),
                )
            })
            .query_function(|pad, parent, query| {
                imp::FlvDemuxBridge::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| imp.source_query(pad, query),
                )
            })
            .build();
        pad.use_fixed_caps();
        // A pad of our own that has no parent yet can always be activated.
        let _ = pad.set_active(true);
        pad.push_event(stream_start(&pad));
        pad.push_event(gst::event::Caps::new(&caps));
        self.caps = Some(caps);
        self.pad = Some(pad);
        Some(true)
    }

    /// Events that have to go before a buffer or a gap.
    pub(super) fn push_due(
        &mut self,
        segment: &gst::FormattedSegment<ClockTime>,
        seqnum: Option<gst::Seqnum>,
        tags: Option<&gst::TagList>,
    ) {
        let Some(pad) = &self.pad else { return };
        if std::mem::take(&mut self.segment_due) {
            let mut event = gst::event::Segment::builder(segment);
            if let Some(seqnum) = seqnum {
                event = event.seqnum(seqnum);
            }
            pad.push_event(event.build());
        }
        if std::mem::take(&mut self.tags_due)
            && let Some(tags) = tags
        {
            pad.push_event(gst::event::Tag::new(tags.clone()));
        }
    }

    /// Pushes a frame.
    pub(super) fn push(
        &mut self,
        mut buffer: gst::Buffer,
        dts: ClockTime,
        pts: ClockTime,
        flags: BufferFlags,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(pad) = &self.pad else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let fields = buffer.make_mut();
        fields.set_dts(dts);
        fields.set_pts(pts);
        fields.set_flags(flags);
        if std::mem::take(&mut self.discont) {
            fields.set_flags(BufferFlags::DISCONT);
        }
        pad.push(buffer)
    }
}
