// SPDX-License-Identifier: MPL-2.0

//! A player's end of RTMPT, written from Red5's description alone: one request at a time, and the
//! interval that the polling byte asks for.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

/// A polling byte of 0x21 is half a second.
const STEP: Duration = Duration::from_micros(15_625);

#[derive(Default)]
pub(super) struct Tunnel {
    id: Option<String>,
    number: u64,
    asked: bool,
    unsaid: Vec<u8>,
    reply: Vec<u8>,
    /// When it polls next.
    due: Option<Instant>,
}

impl Tunnel {
    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.unsaid.extend_from_slice(bytes);
    }

    /// Makes a request, if it is time for one.
    pub(super) fn ask(&mut self, socket: &mut TcpStream, now: Instant) -> io::Result<()> {
        let silent = self.unsaid.is_empty();
        if self.asked || (silent && self.due.is_none_or(|due| now < due)) {
            return Ok(());
        }
        let (path, body) = match &self.id {
            None => ("/open/1".to_owned(), vec![0]),
            Some(id) if silent => (format!("/idle/{id}/{}", self.number), vec![0]),
            Some(id) => (
                format!("/send/{id}/{}", self.number),
                std::mem::take(&mut self.unsaid),
            ),
        };
        self.number += u64::from(self.id.is_some());
        self.asked = true;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-fcs\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        socket.write_all(&request)
    }

    /// What lay within the replies that are whole with these bytes.
    pub(super) fn take(&mut self, bytes: &[u8], now: Instant) -> Result<Vec<u8>, String> {
        self.reply.extend_from_slice(bytes);
        let mut within = Vec::new();
        while let Some((body, whole)) = body(&self.reply)? {
            self.asked = false;
            match (&self.id, body.split_first()) {
                (None, _) => self.id = Some(String::from_utf8_lossy(body).trim().to_owned()),
                (Some(_), Some((0, _)) | None) => return Err("a session ended".to_owned()),
                (Some(_), Some((polling, data))) => {
                    self.due = Some(now + STEP * u32::from(*polling));
                    within.extend_from_slice(data);
                }
            }
            self.reply.drain(..whole);
        }
        Ok(within)
    }
}

/// The body of the first response, and where it ends; `None` if it is not whole.
fn body(reply: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    let Some(end) = reply.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&reply[..end]).to_lowercase();
    if !head.starts_with("http/1.1 200 ") {
        return Err(head);
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok())
        .ok_or("a response without a length")?;
    let whole = end + 4 + length;
    Ok(reply.get(end + 4..whole).map(|body| (body, whole)))
}
