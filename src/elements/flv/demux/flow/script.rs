// SPDX-License-Identifier: MPL-2.0

//! What a stream says about itself in its scripts.

use gst::{prelude::*, subclass::prelude::*};

use super::{
    super::super::{caps::video::Picture, metadata},
    CAT, Flow, FlvDemuxBridge, Format, lock, millis,
};
use crate::protocol::{
    flv::{
        Script, Tag,
        script::{KeyframeIndex, ON_METADATA},
    },
    rtmp::amf::{Object, Value},
};

impl Flow {
    pub(super) fn script(&mut self, element: &FlvDemuxBridge, tag: &Tag) {
        let script = match Script::parse(tag) {
            Ok(Some(script)) => script,
            Ok(None) => return,
            Err(error) => {
                gst::warning!(CAT, obj = element, "Script data: {error}");
                return;
            }
        };
        gst::debug!(CAT, obj = element, "Script data {}", script.name);
        if script.name == ON_METADATA
            && let Some(object) = script.object()
        {
            self.on_metadata(element, object);
        }
        let time = millis(tag.timestamp().into());
        let message = gst::message::Element::builder(metadata::to_structure(&script, time))
            .src(element)
            .build();
        // A bus that takes no message belongs to an element that nobody listens to.
        let _ = element.post_message(message);
    }

    fn on_metadata(&mut self, element: &FlvDemuxBridge, object: &Object) {
        self.metadata = object.clone();
        if let Some(index) = KeyframeIndex::from_metadata(object)
            && index.entries.len() > 1
        {
            *lock(&element.imp().index) = index;
        }
        if let Some(duration) = metadata::duration(object) {
            element.imp().lasts(duration);
        }
        for (at, name) in ["videocodecid", "audiocodecid"].into_iter().enumerate() {
            if let Some(expected) = self.expected.get_mut(at) {
                *expected |= object.number(name).is_some();
            }
        }
        let mut tags = metadata::tags(object);
        let (video, audio) = (
            metadata::bitrate(object, "videodatarate"),
            metadata::bitrate(object, "audiodatarate"),
        );
        if let Some(total) = video
            .zip(audio)
            .map(|(v, a)| v.saturating_add(a))
            .or(video)
            .or(audio)
        {
            let list = tags.make_mut();
            list.add::<gst::tags::Bitrate>(&total, gst::TagMergeMode::Replace);
        }
        self.tags = Some(tags);
        for track in &mut self.tracks {
            track.tags_due = true;
            if let Format::Video(format) = &mut track.format {
                let picture = metadata_picture(&self.metadata, track.id);
                track.dirty |= format.picture != picture;
                format.picture = picture;
            }
        }
    }
}

pub(super) fn metadata_picture(all: &Object, id: u8) -> Picture {
    let map = all.get("videoTrackIdInfoMap").and_then(Value::as_object);
    let entry = map.and_then(|map| map.get(&id.to_string()));
    let entry = entry.and_then(Value::as_object);
    match (id, entry) {
        (0, _) => metadata::picture(all, all),
        (_, Some(entry)) => metadata::picture(entry, all),
        // Of a track that nobody described nothing is known, and what the first has is likely wrong.
        (_, None) => Picture::default(),
    }
}
