// SPDX-License-Identifier: MPL-2.0

use bytes::Bytes;

use super::SessionError;
use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::{
        amf::{Value, amf0},
        chunk::{Decoder, DecoderLimits, Encoder, Message},
        limits,
        message::{Command, Control, LimitType, UserControl, type_id},
        transmit::Transmit,
    },
};

/// Chunk stream of protocol and user control messages (RTMP 1.0, 5.4).
const CSID_CONTROL: u32 = 2;
/// Chunk stream of connection commands and their answers; Larix and others insist (SRS#4723).
const CSID_COMMAND: u32 = 3;
/// Chunk stream of commands on a message stream, as librtmp and FFmpeg have it.
const CSID_STREAM_COMMAND: u32 = 8;

/// Chunk stream of data that a server has to say itself.
const CSID_STREAM_DATA: u32 = 7;

/// Bytes of C0, C1 and C2, which some peers count as received and others do not.
const HANDSHAKE: u64 = 1 + 2 * 1536;

const SET_DATA_FRAME: &str = "@setDataFrame";

/// What client and server share behind the handshake: chunks both ways, acknowledgements and pings.
#[derive(Debug)]
pub(super) struct Link {
    decoder: Decoder,
    encoder: Encoder,
    pub(super) out: Transmit,
    received: u64,
    acknowledged: u64,
    queued: u64,
    peer_acknowledged: u64,
    /// The window the peer announced for what it sends.
    peer_window: u32,
    /// The window announced to the peer. Telling it twice breaks AWS MediaLive (GStreamer cde27346).
    own_window: Option<u32>,
    /// The last hard limit of Set Peer Bandwidth.
    hard_limit: bool,
    /// Bytes queued in answer to the peer that may still be in `out`.
    answers: usize,
    /// How long `out` was when they were last counted.
    counted: usize,
}

/// Counters of one connection, named as rtmp2src names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Bytes of payload in the peer's chunks.
    pub in_chunk_size: u32,
    /// Bytes of payload in our chunks.
    pub out_chunk_size: u32,
    /// The window the peer announced for what it sends, 0 if it did not.
    pub in_window_ack_size: u32,
    /// The window announced to the peer, 0 if none was.
    pub out_window_ack_size: u32,
    /// Bytes received behind the handshake.
    pub in_bytes_total: u64,
    /// Bytes queued for sending behind the handshake.
    pub out_bytes_total: u64,
    /// Bytes of ours that the peer acknowledged.
    pub out_bytes_acked: u64,
    /// Bytes of the peer's that were acknowledged to it.
    pub in_bytes_acked: u64,
}

impl Link {
    pub(super) fn new(limits: DecoderLimits) -> Self {
        Self {
            decoder: Decoder::new(limits),
            encoder: Encoder::default(),
            out: Transmit::default(),
            received: 0,
            acknowledged: 0,
            queued: 0,
            peer_acknowledged: 0,
            peer_window: 0,
            own_window: None,
            hard_limit: false,
            answers: 0,
            counted: 0,
        }
    }

    /// Bytes of memory that what was received and not handed on holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.decoder.held()
    }

    pub(super) fn stats(&self) -> LinkStats {
        LinkStats {
            in_chunk_size: self.decoder.chunk_size() as u32,
            out_chunk_size: self.encoder.chunk_size() as u32,
            in_window_ack_size: self.peer_window,
            out_window_ack_size: self.own_window.unwrap_or(0),
            in_bytes_total: self.received,
            out_bytes_total: self.queued,
            out_bytes_acked: self.peer_acknowledged,
            in_bytes_acked: self.acknowledged,
        }
    }

    /// Changes the budgets for what the peer sends.
    pub(super) fn set_limits(&mut self, limits: DecoderLimits) {
        self.decoder.set_limits(limits);
    }

    /// Gives back memory that only much traffic needs, once all is sent.
    pub(super) fn settle(&mut self) {
        if self.out.is_empty() {
            self.out = Transmit::default();
            self.encoder.settle();
        }
    }

    /// Begins to count answers; what is queued from here to the next [`receive`](Self::receive) is one.
    pub(super) fn listen(&mut self) {
        self.counted = self.out.len();
        // All else was read. A publisher's queue may not be empty for hours.
        self.answers = self.answers.min(self.counted);
    }

    fn count_answers(&mut self) -> Result<(), SessionError> {
        self.answers += self.out.len().saturating_sub(self.counted);
        self.counted = self.out.len();
        if self.answers > limits::UNREAD_ANSWERS {
            return Err(SessionError::NotReading);
        }
        Ok(())
    }

    /// The next message that is not the link's own business, or `None` when all input is taken.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Message>, SessionError> {
        loop {
            let before = input.len();
            let message = self.decoder.decode(input)?;
            self.received += (before - input.len()) as u64;
            self.acknowledge();
            self.count_answers()?;
            let Some(message) = message else {
                return Ok(None);
            };
            match Control::parse(message.type_id, message.payload()) {
                Some(control) => self.control(control?)?,
                None if message.type_id == type_id::USER_CONTROL => {
                    match UserControl::parse(message.payload())? {
                        UserControl::PingRequest(time) => {
                            self.send_user_control(&UserControl::PingResponse(time));
                        }
                        _ => return Ok(Some(message)),
                    }
                }
                None => return Ok(Some(message)),
            }
        }
    }

    fn control(&mut self, control: Control) -> Result<(), SessionError> {
        match control {
            Control::SetChunkSize(size) => self.decoder.set_chunk_size(size)?,
            Control::Abort(csid) => self.decoder.abort(csid),
            Control::Acknowledgement(sequence) => {
                // The sequence number wraps at 2^32; Flash Player's at 2^31 (SRS#730). A number that
                // goes back, or further than what was sent, is not believed.
                let step = sequence.wrapping_sub(self.peer_acknowledged as u32);
                let step_of_flash = step & (u32::MAX >> 1);
                let sent = self.queued - self.peer_acknowledged;
                if let Some(step) = [step, step_of_flash]
                    .into_iter()
                    .map(u64::from)
                    .find(|step| *step <= sent + HANDSHAKE)
                {
                    self.peer_acknowledged += step.min(sent);
                }
            }
            Control::WindowAckSize(size) => self.peer_window = size,
            // A window of nothing could only mean that this side is to be silent for ever.
            Control::SetPeerBandwidth { window: 0, .. } => {}
            Control::SetPeerBandwidth { window, limit } => {
                let hard = match limit {
                    LimitType::Hard => true,
                    LimitType::Dynamic => self.hard_limit,
                    LimitType::Soft | LimitType::Unknown(_) => false,
                };
                if let LimitType::Hard | LimitType::Soft = limit {
                    self.hard_limit = hard;
                }
                let window = match self.own_window {
                    Some(own) if !hard => own.min(window),
                    _ => window,
                };
                self.announce_window(window);
            }
        }
        Ok(())
    }

    /// Sends an acknowledgement when half of the peer's window has come in since the last.
    fn acknowledge(&mut self) {
        let window = match self.peer_window {
            0 => limits::ACK_INTERVAL,
            window => (window / 2).clamp(limits::MIN_ACK_INTERVAL, limits::ACK_INTERVAL),
        };
        if self.received - self.acknowledged >= u64::from(window) {
            self.acknowledged = self.received;
            self.send_control(Control::Acknowledgement(self.received as u32));
        }
    }

    /// Announces a window for what this side sends, unless it is the one already announced.
    pub(super) fn announce_window(&mut self, window: u32) {
        if self.own_window != Some(window) {
            self.own_window = Some(window);
            self.send_control(Control::WindowAckSize(window));
        }
    }

    /// Announces and uses a chunk size.
    pub(super) fn change_chunk_size(&mut self, size: u32) {
        if self.encoder.chunk_size() != size as usize {
            self.send_control(Control::SetChunkSize(size));
            self.encoder.set_chunk_size(size as usize);
        }
    }

    pub(super) fn send_control(&mut self, control: Control) {
        let (type_id, body) = control.to_message();
        self.send(CSID_CONTROL, 0, type_id, 0, &body);
    }

    pub(super) fn send_user_control(&mut self, event: &UserControl) {
        self.send(CSID_CONTROL, 0, type_id::USER_CONTROL, 0, &event.to_body());
    }

    pub(super) fn send_command(&mut self, stream_id: u32, command: &Command) {
        let csid = if stream_id == 0 {
            CSID_COMMAND
        } else {
            CSID_STREAM_COMMAND
        };
        self.send(csid, 0, type_id::COMMAND, stream_id, &command.to_body());
    }

    /// Sends data that belongs to a message stream but not to its media, whose chunk streams may be
    /// somebody else's to send.
    pub(super) fn send_data(&mut self, stream_id: u32, body: &Bytes) {
        self.send(CSID_STREAM_DATA, 0, type_id::DATA, stream_id, body);
    }

    /// Sends a tag as the message it is; metadata that a publisher sends is marked to be kept by the
    /// server (`@setDataFrame`).
    pub(super) fn send_tag(&mut self, stream_id: u32, tag: &Tag, publishing: bool) {
        let mut body = tag.body_bytes();
        let csid = csid_of(tag.kind());
        if publishing && tag.kind() == TagKind::Data && leading_string(&body) == Some(b"onMetaData")
        {
            let mut marked = bytes::BytesMut::with_capacity(16 + body.len());
            amf0::encode(&Value::String(SET_DATA_FRAME.to_owned()), &mut marked);
            marked.extend_from_slice(&body);
            body = marked.freeze();
        }
        self.send(csid, tag.timestamp(), tag.kind() as u8, stream_id, &body);
    }

    fn send(&mut self, csid: u32, timestamp: u32, type_id: u8, stream_id: u32, body: &Bytes) {
        let before = self.out.len();
        self.encoder
            .encode(csid, timestamp, type_id, stream_id, body, &mut self.out);
        self.queued += (self.out.len() - before) as u64;
    }
}

/// The chunk stream of media.
pub(super) fn csid_of(kind: TagKind) -> u32 {
    match kind {
        TagKind::Data | TagKind::DataAmf3 => 4,
        TagKind::Audio => 5,
        TagKind::Video => 6,
    }
}

/// A tag as it goes downstream: metadata without `@setDataFrame`, and AMF3 data in AMF0, which is what
/// readers of FLV know.
pub(super) fn normalise(tag: Tag) -> Option<Tag> {
    let timestamp = tag.timestamp();
    match tag.kind() {
        TagKind::Data if leading_string(tag.body()) == Some(SET_DATA_FRAME.as_bytes()) => {
            let body = tag.body().get(3 + SET_DATA_FRAME.len()..)?;
            Tag::new(TagKind::Data, timestamp, body)
        }
        TagKind::DataAmf3 => {
            // The format byte is 0 for AMF0; some senders omit it, as in commands.
            let body = tag.body();
            let Some(values) = amf0::decode_all(body.strip_prefix(&[0]).unwrap_or(body))
                .ok()
                .filter(|values| !values.is_empty())
            else {
                return Some(tag);
            };
            let mut body = bytes::BytesMut::new();
            let marked = values.first().and_then(Value::as_str) == Some(SET_DATA_FRAME);
            for value in values.iter().skip(usize::from(marked)) {
                amf0::encode(value, &mut body);
            }
            Tag::new(TagKind::Data, timestamp, &body)
        }
        _ => Some(tag),
    }
}

/// The string an AMF0 body starts with.
pub(super) fn leading_string(body: &[u8]) -> Option<&[u8]> {
    match body {
        [2, high, low, rest @ ..] => rest.get(..usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_believed_of_what_was_sent() {
        const HALF: u64 = 1 << 31;
        for (what, queued, before, sequence, after) in [
            ("forward", 1000, 0, 600, 600),
            ("again", 1000, 600, 600, 600),
            ("back", 1000, 600, 599, 600),
            ("with the handshake", 1000, 600, 1000 + 3073, 1000),
            ("what was never sent", 1000, 600, 1000 + 3074, 600),
            ("far too much", 1000, 600, u32::MAX, 600),
            ("past 2^32", 2 * HALF + 9, 2 * HALF - 9, 5, 2 * HALF + 5),
            ("past 2^31", HALF + 9, HALF - 9, (1 << 31) + 5, HALF + 5),
            ("from 2^31 to 0", HALF + 9, HALF - 9, 5, HALF + 5),
            ("behind it", HALF + 99, HALF + 5, 50, HALF + 50),
        ] {
            let mut link = Link::new(DecoderLimits::default());
            (link.queued, link.peer_acknowledged) = (queued, before);
            link.control(Control::Acknowledgement(sequence)).unwrap();
            assert_eq!(link.peer_acknowledged, after, "{what}");
        }
    }

    #[test]
    fn bandwidth_limits_are_followed_by_type() {
        use LimitType::{Dynamic, Hard, Soft, Unknown};
        for (limits, window) in [
            (&[(0, Hard)][..], None),
            (&[(0, Soft), (0, Dynamic), (0, Unknown(9))], None),
            (&[(500, Dynamic)], Some(500)),
            (&[(500, Hard), (900, Dynamic)], Some(900)),
            (&[(500, Hard), (900, Soft)], Some(500)),
            (&[(500, Hard), (400, Soft), (900, Dynamic)], Some(400)),
            (&[(500, Unknown(3)), (900, Unknown(9))], Some(500)),
        ] {
            let mut link = Link::new(DecoderLimits::default());
            for &(window, limit) in limits {
                link.control(Control::SetPeerBandwidth { window, limit })
                    .unwrap();
            }
            assert_eq!(link.own_window, window, "{limits:?}");
        }
    }

    #[test]
    fn small_windows_do_not_multiply_what_comes() {
        let mut link = Link::new(DecoderLimits::default());
        link.control(Control::WindowAckSize(1)).unwrap();
        // Messages of an unknown type and no length, a byte each but for the first.
        let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0];
        bytes.extend([0xc3; 20_000]);
        for mut piece in bytes.chunks(1) {
            while link.receive(&mut piece).unwrap().is_some() {}
        }
        assert!(!link.out.is_empty());
        assert!(
            link.out.len() < bytes.len() / 50,
            "{} bytes",
            link.out.len()
        );
    }
}
