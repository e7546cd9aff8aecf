// SPDX-License-Identifier: MPL-2.0

//! What a stream begins with: the file header, and `onMetaData`, which in a file has room for what is
//! only known at its end.

use super::{super::metadata, properties::Settings, track::Track};
use crate::protocol::{
    flv::{
        Script, Tag, TagKind,
        script::{KeyframeIndex, ON_METADATA},
    },
    rtmp::amf::{Object, Value},
};

/// Key frames that a file's index has room for; of more only every second, third ... is listed. It
/// costs 9 KiB in each file, and still finds a place in one of six hours to a minute.
const INDEX: usize = 512;

/// The file header (Adobe FLV 10.1, Annex E.2) and the back-pointer of no tag.
pub(super) fn file_header(audio: bool, video: bool) -> [u8; 13] {
    let mut header = *b"FLV\x01\x00\x00\x00\x00\x09\x00\x00\x00\x00";
    header[4] = u8::from(audio) << 2 | u8::from(video);
    header
}

/// What is known of a file at its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) seconds: f64,
    pub(super) bytes: u64,
    pub(super) index: KeyframeIndex,
}

/// What `onMetaData` says from the first.
pub(super) fn metadata(
    settings: &Settings,
    tags: &gst::TagListRef,
    tracks: &[Track],
    date: Option<&str>,
) -> Object {
    let mut object = Object::default();
    metadata::add_tags(tags, &mut object);
    let plain = tracks.iter().filter(|track| track.id == 0);
    plain.for_each(|track| track.describe(&mut object));
    for (name, video) in [
        ("videoTrackIdInfoMap", true),
        ("audioTrackIdInfoMap", false),
    ] {
        let mut map = Object::default();
        for track in tracks {
            if track.id != 0 && track.is_video() == video {
                let mut entry = Object::default();
                track.describe(&mut entry);
                map.push(track.id.to_string(), entry);
            }
        }
        if !map.0.is_empty() {
            object.push(name, map);
        }
    }
    for (name, value) in [
        ("metadatacreator", settings.metadatacreator.as_deref()),
        ("encoder", settings.encoder.as_deref()),
        ("creationdate", date),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            object.push(name, value);
        }
    }
    object
}

/// `onMetaData` as a tag.
pub(super) fn tag(metadata: &Object, timestamp: u32) -> Option<Tag> {
    let argument = Value::EcmaArray(metadata.clone());
    Script::new(ON_METADATA, argument).to_tag(TagKind::Data, timestamp)
}

/// The same of a file; it has one size whatever the totals are.
pub(super) fn file_tag(metadata: &Object, totals: &Totals) -> Option<Tag> {
    let mut object = Object::default();
    object.push("duration", totals.seconds);
    object.push("filesize", totals.bytes as f64);
    let index = thinned(&totals.index);
    // Two numbers for each entry that is missing. Text would do, but ffmpeg gives up at long ones.
    let room = 2 * INDEX.saturating_sub(index.entries.len());
    object.push("keyframes", index.to_value());
    object.push("filler", Value::StrictArray(vec![Value::Number(0.0); room]));
    object.0.extend(metadata.0.iter().cloned());
    tag(&object, 0)
}

fn thinned(index: &KeyframeIndex) -> KeyframeIndex {
    let step = index.entries.len().div_ceil(INDEX).max(1);
    KeyframeIndex {
        entries: index.entries.iter().copied().step_by(step).collect(),
    }
}

/// The day and time now, as flvmux writes it.
pub(super) fn creation_date() -> Option<String> {
    let now = glib::DateTime::now_utc().ok()?;
    now.format("%a %b %d %H:%M:%S %Y").ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_header_tells_what_there_is() {
        assert_eq!(&file_header(true, true), b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        assert_eq!(file_header(false, true)[4], 1);
    }

    #[test]
    fn metadata_of_a_file_keeps_its_size() {
        let _ = gst::init();
        let tags = gst::TagList::new();
        let object = metadata(&Settings::default(), &tags, &[], Some("today"));
        let size = |totals: &Totals| file_tag(&object, totals).unwrap().as_flv().len();
        let empty = size(&Totals::default());
        for count in [1, INDEX - 1, INDEX, INDEX + 1, 10 * INDEX + 7] {
            let entries = (0..count).map(|n| (n as f64 * 2.0, 500 + n as u64 * 1000));
            let totals = Totals {
                seconds: 2.0 * count as f64,
                bytes: 1 << 40,
                index: KeyframeIndex {
                    entries: entries.collect(),
                },
            };
            assert_eq!(size(&totals), empty, "{count}");
        }
    }
}
