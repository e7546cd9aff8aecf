// SPDX-License-Identifier: MPL-2.0

//! Tracks that were heard of become pads with caps.

use bytes::Bytes;
use gst::prelude::*;

use super::{CAT, Flow, FlvDemuxBridge, Format, Kind, Track, script::metadata_picture};
use crate::protocol::{
    flv::{head::Codec, limits::CONFIG},
    rtmp::amf::Object,
};

impl Flow {
    /// Where the track is in the list, new or known. A known one takes another codec from where it is
    /// `configured`, or needs no configuration; until then there is `None` for what names another.
    pub(super) fn track(
        &mut self,
        kind: Kind,
        id: u8,
        name: Codec,
        configured: bool,
        format: impl FnOnce() -> Format,
    ) -> Option<usize> {
        let mut tracks = self.tracks.iter_mut();
        let found = tracks.position(|track| track.kind == kind && track.id == id);
        let at = found.unwrap_or(self.tracks.len());
        let Some(track) = self.tracks.get_mut(at) else {
            let mut track = Track::new(kind, id, name, format());
            track.format.set_picture(&self.metadata, id);
            self.tracks.push(track);
            return Some(at);
        };
        if track.name == name {
            return Some(at);
        }
        let mut new = format();
        if new.is_other_codec(&track.format) {
            if !configured && new.has_config() {
                return None;
            }
            new.set_picture(&self.metadata, id);
            track.format = new;
            track.dirty = true;
            track.discont = true;
        }
        track.name = name;
        Some(at)
    }

    /// A decoder's configuration came.
    pub(super) fn configure(&mut self, element: &FlvDemuxBridge, at: usize, data: Option<Bytes>) {
        let Some(track) = self.tracks.get_mut(at) else {
            return;
        };
        let Some(data) = data.filter(|data| data.len() <= CONFIG) else {
            gst::warning!(CAT, obj = element, "A configuration that is none");
            return;
        };
        let config = match &mut track.format {
            Format::Video(format) => &mut format.config,
            Format::Audio(format) => &mut format.config,
        };
        // An empty one, which only Opus may have, says nothing new.
        if !data.is_empty() && config.as_ref() != Some(&data) {
            // Not a slice, which would keep a tag for as long as the track lives.
            *config = Some(Bytes::copy_from_slice(&data));
            track.dirty = true;
        }
        self.announce(element, at);
    }

    /// Makes the pad as soon as there can be caps: before the first frame of any track, so that who
    /// waits for the last pad knows of all of them. Caps that only changed wait for the next frame.
    pub(super) fn announce(&mut self, element: &FlvDemuxBridge, at: usize) {
        if self.tracks.get(at).is_some_and(|track| track.pad.is_none()) {
            self.update(element, at);
        }
    }

    /// Pad and caps for the next frame; `false` where there can be none yet.
    pub(super) fn ready(&mut self, element: &FlvDemuxBridge, at: usize) -> bool {
        if self.update(element, at) {
            return true;
        }
        if let Some(track) = self.tracks.get_mut(at) {
            track.discont = true;
            if !std::mem::replace(&mut track.dropped, true) {
                gst::warning!(
                    CAT,
                    obj = element,
                    "Dropping frames of {:?} track {} until its configuration comes",
                    track.kind,
                    track.id
                );
            }
        }
        false
    }

    fn update(&mut self, element: &FlvDemuxBridge, at: usize) -> bool {
        let group = self.group;
        let Some(track) = self.tracks.get_mut(at) else {
            return false;
        };
        let made = track.update(element, |pad| {
            let id = pad.create_stream_id(element, Some(pad.name().as_str()));
            gst::event::StreamStart::builder(&id)
                .group_id(group)
                .build()
        });
        match made {
            None => false,
            Some(false) => true,
            Some(true) => {
                track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
                if let Some(pad) = track.pad.clone() {
                    self.combiner.add_pad(&pad);
                    gst::info!(CAT, obj = element, "New pad {}", pad.name());
                    if let Err(error) = element.add_pad(&pad) {
                        gst::error!(CAT, obj = element, "{error}");
                    }
                }
                true
            }
        }
    }

    pub(super) fn check_pads(&mut self, element: &FlvDemuxBridge) {
        let has = |kind| {
            let mut tracks = self.tracks.iter();
            tracks.any(|track| track.kind == kind && track.pad.is_some())
        };
        let [video, audio] = self.expected;
        // A header promises too much as often as too little.
        let both = has(Kind::Video) && has(Kind::Audio);
        let promised = (!video || has(Kind::Video)) && (!audio || has(Kind::Audio));
        let silent = self.tracks.iter().any(|track| track.pad.is_none());
        if !silent && (both || promised && (video || audio) && !self.metadata.0.is_empty()) {
            self.finish_pads(element);
        }
    }

    pub(super) fn finish_pads(&mut self, element: &FlvDemuxBridge) {
        if !std::mem::replace(&mut self.all_pads, true) {
            gst::info!(CAT, obj = element, "All pads are there");
            element.no_more_pads();
        }
    }

    pub(super) fn unknown(
        &self,
        element: &FlvDemuxBridge,
        kind: Kind,
        id: u8,
        codec: Option<Codec>,
    ) {
        gst::warning!(
            CAT,
            obj = element,
            "{kind:?} track {id} has a codec that is not known: {codec:?}"
        );
    }
}

impl Format {
    fn is_other_codec(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Video(a), Self::Video(b)) => a.codec != b.codec,
            (Self::Audio(a), Self::Audio(b)) => a.codec != b.codec,
            _ => true,
        }
    }

    fn has_config(&self) -> bool {
        match self {
            Self::Video(format) => format.has_config(),
            Self::Audio(format) => format.has_config(),
        }
    }

    fn set_picture(&mut self, metadata: &Object, id: u8) {
        if let Self::Video(format) = self {
            format.picture = metadata_picture(metadata, id);
        }
    }
}
