// SPDX-License-Identifier: MPL-2.0

use bytes::{BufMut, Bytes, BytesMut};

use super::{TooShort, type_id, u32_at};

/// Protocol control messages (RTMP 1.0, section 5.4). They travel on chunk stream 2, message
/// stream 0, and take effect on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Bytes of payload in the sender's chunks from now on.
    SetChunkSize(u32),
    /// The message under way on this chunk stream will not be completed.
    Abort(u32),
    /// Bytes the sender has received so far, modulo 2^32.
    Acknowledgement(u32),
    /// Bytes the sender will send between two acknowledgements.
    WindowAckSize(u32),
    /// Bytes the receiver may have unacknowledged.
    SetPeerBandwidth {
        /// The window in bytes.
        window: u32,
        /// How strictly it is meant.
        limit: LimitType,
    },
}

/// The limit type of Set Peer Bandwidth (5.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitType {
    /// 0: the window is this.
    Hard,
    /// 1: the window is this or what it was, whichever is smaller.
    Soft,
    /// 2: hard if the last one was hard, else to be ignored.
    Dynamic,
    /// Anything else that a peer sent.
    Unknown(u8),
}

impl Control {
    /// Parses a body; `None` where `type_id` is not a protocol control message.
    ///
    /// Trailing bytes are ignored.
    pub fn parse(type_id: u8, body: &[u8]) -> Option<Result<Self, TooShort>> {
        let build: fn(u32) -> Self = match type_id {
            type_id::SET_CHUNK_SIZE => Self::SetChunkSize,
            type_id::ABORT => Self::Abort,
            type_id::ACKNOWLEDGEMENT => Self::Acknowledgement,
            type_id::WINDOW_ACK_SIZE => Self::WindowAckSize,
            type_id::SET_PEER_BANDWIDTH => |window| Self::SetPeerBandwidth {
                window,
                limit: LimitType::Hard,
            },
            _ => return None,
        };
        let Some(number) = u32_at(body, 0) else {
            return Some(Err(TooShort { type_id }));
        };
        Some(Ok(match build(number) {
            Self::SetPeerBandwidth { window, .. } => {
                // Some servers leave the limit type away and mean it.
                let limit = match body.get(4).copied().unwrap_or(0) {
                    0 => LimitType::Hard,
                    1 => LimitType::Soft,
                    2 => LimitType::Dynamic,
                    other => LimitType::Unknown(other),
                };
                Self::SetPeerBandwidth { window, limit }
            }
            other => other,
        }))
    }

    /// Message type id and body.
    pub fn to_message(self) -> (u8, Bytes) {
        let mut body = BytesMut::with_capacity(5);
        let type_id = match self {
            Self::SetChunkSize(number) => (type_id::SET_CHUNK_SIZE, number),
            Self::Abort(number) => (type_id::ABORT, number),
            Self::Acknowledgement(number) => (type_id::ACKNOWLEDGEMENT, number),
            Self::WindowAckSize(number) => (type_id::WINDOW_ACK_SIZE, number),
            Self::SetPeerBandwidth { window, .. } => (type_id::SET_PEER_BANDWIDTH, window),
        };
        body.put_u32(type_id.1);
        if let Self::SetPeerBandwidth { limit, .. } = self {
            body.put_u8(match limit {
                LimitType::Hard => 0,
                LimitType::Soft => 1,
                LimitType::Dynamic => 2,
                LimitType::Unknown(other) => other,
            });
        }
        (type_id.0, body.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree() {
        let window = 2_500_000;
        for message in [
            Control::SetChunkSize(4096),
            Control::Abort(6),
            Control::Acknowledgement(u32::MAX),
            Control::WindowAckSize(window),
            Control::SetPeerBandwidth {
                window,
                limit: LimitType::Hard,
            },
            Control::SetPeerBandwidth {
                window,
                limit: LimitType::Soft,
            },
            Control::SetPeerBandwidth {
                window,
                limit: LimitType::Dynamic,
            },
            Control::SetPeerBandwidth {
                window,
                limit: LimitType::Unknown(9),
            },
        ] {
            let (type_id, body) = message.to_message();
            assert_eq!(Control::parse(type_id, &body), Some(Ok(message)));
            for len in 0..4 {
                assert_eq!(
                    Control::parse(type_id, &body[..len]),
                    Some(Err(TooShort { type_id }))
                );
            }
        }
        assert_eq!(Control::parse(20, &[0; 4]), None);
    }
}
