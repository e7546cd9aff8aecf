// SPDX-License-Identifier: MPL-2.0

//! The head of a response, as far as a client of ours needs it, and the end of the body behind it.

use super::{FIELDS, HEAD, Version};

/// Why a response cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// It is longer than [`HEAD`] or has more than [`FIELDS`] fields.
    #[error("the head of the response has more than {HEAD} bytes or {FIELDS} fields")]
    TooLarge,
    /// It is no HTTP.
    #[error("the other side does not speak HTTP/1")]
    Malformed,
    /// Its length is no number, or there are two different ones.
    #[error("the response has the length {0:?}")]
    Length(String),
    /// It is compressed, which nobody asked for, or transferred in a way that HTTP/1.1 does not demand.
    #[error("the response is encoded as {0:?}, which was not asked for")]
    Encoding(String),
    /// The chunks of its body are broken.
    #[error("the chunks of the response are malformed")]
    Chunk,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has this many bytes.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the connection serves another request.
    pub keep_alive: bool,
    /// Where a redirect leads to.
    pub location: Option<String>,
    /// What the body is.
    pub content_type: Option<String>,
}

impl Reply {
    /// Reads a head from the front of `input`; `None` while it is not all there. Also returns how many
    /// bytes it has.
    ///
    /// # Errors
    /// [`ReplyError`], as soon as it can be known.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ReplyError> {
        let head = input.get(..HEAD).unwrap_or(input);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(head) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if head.len() < HEAD => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(ReplyError::TooLarge);
            }
            Err(_) => return Err(ReplyError::Malformed),
        };
        let status = response.code.unwrap_or_default();
        let version = match response.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let mut reply = Self {
            status,
            framing: Framing::Close,
            keep_alive: version == Version::Http11,
            location: None,
            content_type: None,
        };
        let mut known = None;
        for field in response.headers.iter() {
            let value = String::from_utf8_lossy(field.value).trim().to_owned();
            match field.name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    // Digits only: a sign would pass for a number too.
                    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                    let number = value.parse().ok().filter(|_| digits);
                    if number.is_none() || known.is_some_and(|known| Some(known) != number) {
                        return Err(ReplyError::Length(value));
                    }
                    known = number;
                }
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => {
                    reply.framing = Framing::Chunked;
                }
                "transfer-encoding" | "content-encoding"
                    if !value.eq_ignore_ascii_case("identity") =>
                {
                    return Err(ReplyError::Encoding(value));
                }
                "connection" | "proxy-connection" => {
                    let has = |word: &str| {
                        value
                            .split(',')
                            .any(|w| w.trim().eq_ignore_ascii_case(word))
                    };
                    reply.keep_alive = (reply.keep_alive || has("keep-alive")) && !has("close");
                }
                "location" => reply.location = Some(value),
                "content-type" => reply.content_type = Some(value),
                _ => {}
            }
        }
        if let (Framing::Close, Some(length)) = (reply.framing, known) {
            reply.framing = Framing::Length(length);
        }
        if status == 204 || status == 304 || (100..200).contains(&status) {
            reply.framing = Framing::Length(0);
        }
        if reply.framing == Framing::Close {
            reply.keep_alive = false;
        }
        Ok(Some((reply, length)))
    }
}

/// What [`Body::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of the body.
    Data(&'a [u8]),
    /// Nothing until more has come.
    More,
    /// The body is over.
    End,
}

/// A body on its way in.
#[derive(Debug)]
pub struct Body {
    state: State,
}

#[derive(Debug)]
enum State {
    /// This much is left, and then the body is over.
    Length(u64),
    Close,
    /// The line that says how long a chunk is.
    Size(Vec<u8>),
    /// A chunk of which this much is left.
    Chunk(u64),
    /// The line break behind a chunk, of which this much is left.
    Break(u8),
    /// Fields behind the last chunk; the line so far, and how many bytes there were.
    Trailer(usize, usize),
    End,
}

/// Longest line that says how long a chunk is, extensions included.
const SIZE_LINE: usize = 256;

impl Body {
    /// A body of which nothing has come.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(Vec::new()),
            Framing::Close => State::Close,
        };
        Self { state }
    }

    /// Takes from the front of `input`. To be called until there is nothing but more to wait for.
    ///
    /// # Errors
    /// [`ReplyError::Chunk`].
    pub fn take<'a>(&mut self, input: &mut &'a [u8]) -> Result<Part<'a>, ReplyError> {
        loop {
            match &mut self.state {
                State::Length(0) | State::End => {
                    self.state = State::End;
                    return Ok(Part::End);
                }
                State::Length(left) => return Ok(take(input, left)),
                State::Chunk(0) => self.state = State::Break(2),
                State::Chunk(left) => return Ok(take(input, left)),
                State::Close => {
                    let mut all = u64::MAX;
                    return Ok(take(input, &mut all));
                }
                State::Break(left) => {
                    // Some servers leave the carriage return away.
                    match (*left, take_byte(input)) {
                        (_, None) => return Ok(Part::More),
                        (2, Some(b'\r')) => *left = 1,
                        (_, Some(b'\n')) => self.state = State::Size(Vec::new()),
                        _ => return Err(ReplyError::Chunk),
                    }
                }
                State::Size(line) => {
                    let Some(byte) = take_byte(input) else {
                        return Ok(Part::More);
                    };
                    line.push(byte);
                    if line.len() > SIZE_LINE {
                        return Err(ReplyError::Chunk);
                    }
                    if byte == b'\n' {
                        // A line without a number would pass for the last chunk.
                        if !line.first().is_some_and(u8::is_ascii_hexdigit) {
                            return Err(ReplyError::Chunk);
                        }
                        self.state = match httparse::parse_chunk_size(line) {
                            Ok(httparse::Status::Complete((_, 0))) => State::Trailer(0, 0),
                            Ok(httparse::Status::Complete((_, size))) => State::Chunk(size),
                            _ => return Err(ReplyError::Chunk),
                        };
                    }
                }
                State::Trailer(line, all) => match take_byte(input) {
                    None => return Ok(Part::More),
                    Some(b'\n') if *line == 0 => self.state = State::End,
                    Some(b'\n') => *line = 0,
                    Some(b'\r') => {}
                    Some(_) => {
                        (*line, *all) = (*line + 1, *all + 1);
                        if *all > HEAD {
                            return Err(ReplyError::Chunk);
                        }
                    }
                },
            }
        }
    }

    /// Whether the body is whole if the connection ends here.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::Close | State::End | State::Length(0))
    }
}

fn take<'a>(input: &mut &'a [u8], left: &mut u64) -> Part<'a> {
    let n = input
        .len()
        .min(usize::try_from(*left).unwrap_or(usize::MAX));
    if n == 0 {
        return Part::More;
    }
    let (data, rest) = input.split_at(n);
    *input = rest;
    *left -= n as u64;
    Part::Data(data)
}

fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Result<Reply, ReplyError> {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        Reply::parse(text.as_bytes()).map(|reply| reply.unwrap().0)
    }

    #[test]
    fn lengths() {
        for (fields, framing) in [
            ("Content-Length: 5\r\n", Framing::Length(5)),
            (
                "content-LENGTH:5\r\nContent-Length: 5\r\n",
                Framing::Length(5),
            ),
            ("Content-Length: 4294967296\r\n", Framing::Length(1 << 32)),
            (
                "Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n",
                Framing::Chunked,
            ),
            ("", Framing::Close),
        ] {
            assert_eq!(head(fields).unwrap().framing, framing, "{fields}");
        }
        for bad in [
            "-1",
            "+5",
            "",
            "0x5",
            "5, 5",
            "99999999999999999999",
            "5\r\nContent-Length: 6",
        ] {
            let error = head(&format!("Content-Length: {bad}\r\n")).unwrap_err();
            assert!(matches!(error, ReplyError::Length(_)), "{bad}");
        }
        for bad in [
            "Content-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
        ] {
            assert!(matches!(head(bad), Err(ReplyError::Encoding(_))), "{bad}");
        }
    }

    #[test]
    fn connections_that_stay() {
        for (text, stays) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nconnection: keep-alive\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ] {
            let (reply, length) = Reply::parse(text.as_bytes()).unwrap().unwrap();
            // A status without a body keeps the connection all the same.
            let keeps = reply.keep_alive || reply.status == 204;
            assert_eq!((keeps, length), (stays, text.len()), "{text}");
        }
    }

    #[test]
    fn bodies_cut_anywhere() {
        let chunked = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\nnext";
        let plain = b"hello!next";
        for (framing, wire) in [
            (Framing::Chunked, &chunked[..]),
            (Framing::Length(6), &plain[..]),
        ] {
            for size in 1..wire.len() {
                let mut body = Body::new(framing);
                let mut got = Vec::new();
                let (mut taken, mut ended) = (0, false);
                for mut piece in wire.chunks(size) {
                    let before = piece.len();
                    loop {
                        match body.take(&mut piece).unwrap() {
                            Part::Data(data) => got.extend_from_slice(data),
                            Part::More => break,
                            Part::End => {
                                ended = true;
                                break;
                            }
                        }
                    }
                    taken += before - piece.len();
                    if ended {
                        break;
                    }
                    assert!(piece.is_empty());
                }
                assert!(ended);
                assert_eq!((&got[..], &wire[taken..]), (&b"hello!"[..], &b"next"[..]));
            }
        }
        let mut body = Body::new(Framing::Close);
        assert_eq!(body.take(&mut &b"all"[..]), Ok(Part::Data(b"all")));
        assert!(body.ends_with_connection());
    }

    #[test]
    fn broken_chunks() {
        for bad in ["zz\r\n", "\r\n", "1\r\nab\r\n", "ffffffffffffffffff\r\n"] {
            let mut body = Body::new(Framing::Chunked);
            let mut input = bad.as_bytes();
            let error = loop {
                match body.take(&mut input) {
                    Ok(Part::Data(_)) => {}
                    other => break other.map(|_| ()),
                }
            };
            assert_eq!(error, Err(ReplyError::Chunk), "{bad:?}");
        }
        let long = [b'1'; 5000];
        assert!(Body::new(Framing::Chunked).take(&mut &long[..]).is_err());
    }

    #[test]
    fn heads_without_end() {
        assert_eq!(Reply::parse(b"HTTP/1.1 200 OK\r\nA: b\r\n"), Ok(None));
        assert_eq!(Reply::parse(&[b'H'; HEAD]), Err(ReplyError::Malformed));
        let long = ["HTTP/1.1 200 OK\r\nA: ", &"b".repeat(HEAD)].concat();
        assert_eq!(Reply::parse(long.as_bytes()), Err(ReplyError::TooLarge));
        let many = [
            "HTTP/1.1 200 OK\r\n",
            &"A: b\r\n".repeat(FIELDS + 1),
            "\r\n",
        ]
        .concat();
        assert_eq!(Reply::parse(many.as_bytes()), Err(ReplyError::TooLarge));
        assert_eq!(Reply::parse(b"\x03\0\0\0"), Err(ReplyError::Malformed));
    }
}
