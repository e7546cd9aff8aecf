// SPDX-License-Identifier: MPL-2.0

//! Tags of sound.

use gst::{BufferFlags, prelude::*};

use super::{
    super::super::caps::audio::AudioFormat, CAT, Flow, FlowResult, FlvDemuxBridge, Format, Kind,
    Payload, millis,
};
use crate::protocol::flv::{
    AudioHead, Tag, channels::MultichannelConfig, codec::AudioCodec, head::AudioPacket,
};

impl Flow {
    pub(super) fn audio(&mut self, element: &FlvDemuxBridge, tag: &Tag) -> FlowResult {
        let place = self.audio.place(tag.timestamp(), self.video);
        self.arrived(element, Kind::Audio, place.time, place.step);
        let mut result = Ok(gst::FlowSuccess::Ok);
        for head in AudioHead::packets(tag.body()) {
            let head = match head {
                Ok(head) => head,
                Err(error) => {
                    gst::warning!(
                        CAT,
                        obj = element,
                        "Audio at {} ms: {error}",
                        tag.timestamp()
                    );
                    break;
                }
            };
            let data = tag.body_part(head.payload..head.end);
            let id = head.track.map_or(0, |track| track.id);
            if matches!(head.packet, AudioPacket::Silence) {
                self.silence(id, place.time);
                continue;
            }
            let Some((name, codec)) = head
                .codec
                .and_then(|name| Some((name, AudioCodec::from_name(name)?)))
            else {
                self.unknown(element, Kind::Audio, id, head.codec);
                continue;
            };
            let configured = matches!(head.packet, AudioPacket::SequenceStart);
            let track = self.track(Kind::Audio, id, name, configured, || {
                Format::Audio(AudioFormat::new(codec, head.sound))
            });
            let Some(at) = track else {
                gst::warning!(
                    CAT,
                    obj = element,
                    "Audio of a codec that was not configured"
                );
                continue;
            };
            match head.packet {
                AudioPacket::SequenceStart => self.configure(element, at, Some(data)),
                AudioPacket::MultichannelConfig => {
                    if let Some(track) = self.tracks.get_mut(at)
                        && let Format::Audio(format) = &mut track.format
                    {
                        let order = MultichannelConfig::parse(&data);
                        track.dirty |= format.order != order;
                        format.order = order;
                    }
                    self.announce(element, at);
                }
                AudioPacket::CodedFrames if data.is_empty() => self.silence(id, place.time),
                AudioPacket::CodedFrames => {
                    if let Some(track) = self.tracks.get_mut(at)
                        && let Format::Audio(format) = &mut track.format
                    {
                        track.dirty |= format.learn(&data);
                    }
                    if !self.ready(element, at) {
                        continue;
                    }
                    let (time, flags) = (place.time, BufferFlags::empty());
                    let data = Payload::Whole(data);
                    result = self.push(element, at, data, time, time, head.nanos, flags);
                    result?;
                }
                AudioPacket::SequenceEnd => self.silence(id, place.time),
                AudioPacket::Silence | AudioPacket::Reserved(_) => {
                    gst::debug!(CAT, obj = element, "Ignored {:?}", head.packet);
                }
            }
        }
        result
    }

    /// Sound pauses.
    pub(super) fn silence(&mut self, id: u8, time: i64) {
        let mut tracks = self.tracks.iter_mut();
        let track = tracks.find(|track| track.kind == Kind::Audio && track.id == id);
        if let Some(track) = track
            && let Some(pad) = track.pad.clone()
        {
            track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
            track.discont = true;
            track.reached = Some(time);
            pad.push_event(gst::event::Gap::builder(millis(time)).build());
        }
    }
}
