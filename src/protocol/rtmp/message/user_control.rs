// SPDX-License-Identifier: MPL-2.0

use bytes::{BufMut, Bytes, BytesMut};

use super::{TooShort, type_id, u32_at};

/// User control messages (RTMP 1.0, section 7.1.7, and the undocumented ones that Flash Media Server
/// and librtmp exchange).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserControl {
    /// 0: the message stream exists and can be used.
    StreamBegin(u32),
    /// 1: playback on the message stream is over.
    StreamEof(u32),
    /// 2: there has been no data on the message stream for a while.
    StreamDry(u32),
    /// 3: the client buffers this many milliseconds.
    SetBufferLength {
        /// The message stream.
        stream_id: u32,
        /// Milliseconds.
        ms: u32,
    },
    /// 4: the message stream plays a recording.
    StreamIsRecorded(u32),
    /// 6: the peer wants to see this timestamp again.
    PingRequest(u32),
    /// 7: the timestamp of a ping request.
    PingResponse(u32),
    /// 26: the server wants to know which SWF is asking, by a method of this number.
    SwfVerifyRequest(u8),
    /// 27: which SWF is asking, 42 bytes.
    SwfVerifyResponse(Bytes),
    /// 31: the server has sent as much as the client said it buffers.
    BufferEmpty(u32),
    /// 32: the server goes on sending.
    BufferReady(u32),
    /// Any other event, to be ignored.
    Unknown(u16),
}

impl UserControl {
    /// Parses a body.
    pub fn parse(body: &[u8]) -> Result<Self, TooShort> {
        let short = TooShort {
            type_id: type_id::USER_CONTROL,
        };
        let &[high, low, ref data @ ..] = body else {
            return Err(short);
        };
        let number = || u32_at(data, 0).ok_or(short);
        Ok(match u16::from_be_bytes([high, low]) {
            0 => Self::StreamBegin(number()?),
            1 => Self::StreamEof(number()?),
            2 => Self::StreamDry(number()?),
            3 => Self::SetBufferLength {
                stream_id: number()?,
                ms: u32_at(data, 4).ok_or(short)?,
            },
            4 => Self::StreamIsRecorded(number()?),
            6 => Self::PingRequest(number()?),
            7 => Self::PingResponse(number()?),
            26 => Self::SwfVerifyRequest(data.first().copied().unwrap_or(1)),
            27 => Self::SwfVerifyResponse(Bytes::copy_from_slice(data)),
            31 => Self::BufferEmpty(number()?),
            32 => Self::BufferReady(number()?),
            other => Self::Unknown(other),
        })
    }

    /// The body of a message of type 4.
    pub fn to_body(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(10);
        let (event, number) = match *self {
            Self::StreamBegin(id) => (0, id),
            Self::StreamEof(id) => (1, id),
            Self::StreamDry(id) => (2, id),
            Self::SetBufferLength { stream_id, .. } => (3, stream_id),
            Self::StreamIsRecorded(id) => (4, id),
            Self::PingRequest(time) => (6, time),
            Self::PingResponse(time) => (7, time),
            Self::BufferEmpty(id) => (31, id),
            Self::BufferReady(id) => (32, id),
            Self::Unknown(event) => (event, 0),
            Self::SwfVerifyRequest(method) => {
                body.put_slice(&[0, 26, method]);
                return body.freeze();
            }
            Self::SwfVerifyResponse(ref response) => {
                body.put_u16(27);
                body.put_slice(response);
                return body.freeze();
            }
        };
        body.put_u16(event);
        body.put_u32(number);
        if let Self::SetBufferLength { ms, .. } = *self {
            body.put_u32(ms);
        }
        body.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree() {
        for (event, needs) in [
            (UserControl::StreamBegin(1), 6),
            (UserControl::StreamEof(1), 6),
            (UserControl::StreamDry(1), 6),
            (
                UserControl::SetBufferLength {
                    stream_id: 1,
                    ms: 3000,
                },
                10,
            ),
            (UserControl::StreamIsRecorded(1), 6),
            (UserControl::PingRequest(u32::MAX), 6),
            (UserControl::PingResponse(7), 6),
            (UserControl::SwfVerifyRequest(1), 2),
            (
                UserControl::SwfVerifyResponse(Bytes::from_static(&[1; 42])),
                44,
            ),
            (UserControl::BufferEmpty(1), 6),
            (UserControl::BufferReady(1), 6),
        ] {
            let body = event.to_body();
            assert_eq!(UserControl::parse(&body).as_ref(), Ok(&event));
            for len in 0..needs.min(10) {
                assert_eq!(
                    UserControl::parse(&body[..len]).is_err(),
                    len < 2 || body[1] != 27,
                    "{event:?} cut to {len}"
                );
            }
        }
    }

    #[test]
    fn unknown_events_pass() {
        for event in [5u16, 8, 25, 28, 30, 33, 0xffff] {
            assert_eq!(
                UserControl::parse(&event.to_be_bytes()),
                Ok(UserControl::Unknown(event))
            );
        }
    }
}
