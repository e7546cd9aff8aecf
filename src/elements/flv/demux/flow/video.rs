// SPDX-License-Identifier: MPL-2.0

//! Tags of pictures.

use bytes::Bytes;
use gst::BufferFlags;

use super::{
    super::super::caps::video::VideoFormat, CAT, Flow, FlowResult, FlvDemuxBridge, Format, Kind,
    Payload,
};
use crate::protocol::flv::{
    SpanningTag, Tag, VideoHead,
    codec::VideoCodec,
    color::ColorInfo,
    head::{FrameType, MultitrackType, VideoPacket},
};

/// Where a packet is.
#[derive(Clone, Copy)]
struct Place {
    /// In ms.
    time: i64,
    /// Where its tag begins in the stream.
    position: u64,
}

impl Flow {
    pub(super) fn video(&mut self, element: &FlvDemuxBridge, tag: &Tag) -> FlowResult {
        let place = self.video_place(element, tag.timestamp(), tag.as_flv().len());
        for head in VideoHead::packets(tag.body()) {
            let head = match head {
                Ok(head) => head,
                Err(error) => {
                    gst::warning!(
                        CAT,
                        obj = element,
                        "Video at {} ms: {error}",
                        tag.timestamp()
                    );
                    break;
                }
            };
            let data = Payload::Whole(tag.body_part(head.payload..head.end));
            self.video_packet(element, &head, place, data)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// A large tag in pieces. What is no frame of one track is not worth it.
    pub(super) fn spanning_video(
        &mut self,
        element: &FlvDemuxBridge,
        tag: &SpanningTag,
    ) -> FlowResult {
        let start = tag.start();
        let head = VideoHead::parse(&start).filter(|head| {
            head.packet == VideoPacket::CodedFrames
                && head
                    .track
                    .is_none_or(|track| track.kind == MultitrackType::OneTrack)
                && head.payload < start.len()
        });
        let Some(head) = head else {
            return match tag.join() {
                Some(tag) => self.video(element, &tag),
                None => Ok(gst::FlowSuccess::Ok),
            };
        };
        let place = self.video_place(element, tag.timestamp(), tag.flv_len());
        let data = Payload::Parts(tag.body_from(head.payload));
        self.video_packet(element, &head, place, data)
    }

    fn video_place(&mut self, element: &FlvDemuxBridge, timestamp: u32, size: usize) -> Place {
        let place = self.video.place(timestamp, self.audio);
        self.arrived(element, Kind::Video, place.time, place.step);
        Place {
            time: place.time,
            position: self.reader.position().saturating_sub(size as u64),
        }
    }

    fn video_packet(
        &mut self,
        element: &FlvDemuxBridge,
        head: &VideoHead,
        place: Place,
        data: Payload,
    ) -> FlowResult {
        const DONE: FlowResult = Ok(gst::FlowSuccess::Ok);
        let id = head.track.map_or(0, |track| track.id);
        if let VideoPacket::Command(command) = head.packet {
            self.decode_only = command == 0;
            return DONE;
        }
        let Some((name, codec)) = head
            .codec
            .and_then(|name| Some((name, VideoCodec::from_name(name)?)))
        else {
            self.unknown(element, Kind::Video, id, head.codec);
            return DONE;
        };
        let configured = matches!(
            head.packet,
            VideoPacket::SequenceStart | VideoPacket::Mpeg2TsSequenceStart
        );
        let track = self.track(Kind::Video, id, name, configured, || {
            Format::Video(VideoFormat::new(codec))
        });
        let Some(at) = track else {
            gst::warning!(
                CAT,
                obj = element,
                "Video of a codec that was not configured"
            );
            return DONE;
        };
        match head.packet {
            VideoPacket::SequenceStart => self.configure(element, at, data.whole()),
            VideoPacket::Mpeg2TsSequenceStart => {
                let record = data
                    .whole()
                    .and_then(|data| av1_record_of_descriptor(&data));
                self.configure(element, at, record);
            }
            VideoPacket::Metadata => {
                if let Some(data) = data.whole() {
                    self.colors(element, at, &data);
                }
            }
            VideoPacket::CodedFrames if data.is_empty() => {}
            VideoPacket::CodedFrames => {
                if head.is_keyframe() && id == 0 {
                    Self::learn(element, place.time, place.position);
                }
                return self.picture(element, at, head, place.time, data);
            }
            VideoPacket::SequenceEnd => {
                gst::debug!(CAT, obj = element, "Video track {id} ends");
                if let Some(track) = self.tracks.get_mut(at) {
                    track.discont = true;
                }
            }
            VideoPacket::Command(_) | VideoPacket::Reserved(_) => {
                gst::debug!(CAT, obj = element, "Ignored {:?}", head.packet);
            }
        }
        DONE
    }

    fn picture(
        &mut self,
        element: &FlvDemuxBridge,
        at: usize,
        head: &VideoHead,
        time: i64,
        data: Payload,
    ) -> FlowResult {
        if !self.ready(element, at) {
            return Ok(gst::FlowSuccess::Ok);
        }
        let mut flags = BufferFlags::empty();
        if !head.is_keyframe() {
            flags |= BufferFlags::DELTA_UNIT;
        }
        if head.frame == FrameType::Disposable {
            flags |= BufferFlags::DROPPABLE;
        }
        if self.decode_only {
            flags |= BufferFlags::DECODE_ONLY;
        }
        let shown = time + i64::from(head.composition_time);
        self.push(element, at, data, time, shown, head.nanos, flags)
    }

    fn colors(&mut self, element: &FlvDemuxBridge, at: usize, data: &Bytes) {
        match ColorInfo::parse(data) {
            Ok(Some(color)) => {
                if let Some(track) = self.tracks.get_mut(at)
                    && let Format::Video(format) = &mut track.format
                {
                    track.dirty |= format.color != color;
                    format.color = color;
                }
            }
            Ok(None) => {}
            Err(error) => gst::warning!(CAT, obj = element, "Metadata of pictures: {error}"),
        }
    }
}

/// `AV1VideoDescriptor` (AV1 in MPEG-2 TS, 2.1) has the first three bytes of the record.
fn av1_record_of_descriptor(data: &[u8]) -> Option<Bytes> {
    const TAG: u8 = 0x80;
    let fields = match data {
        [TAG, 4, fields @ ..] => fields,
        fields => fields,
    };
    let &[marker, profile, flags, _] = fields.first_chunk()?;
    (marker == 0x81).then(|| Bytes::copy_from_slice(&[marker, profile, flags, 0]))
}
