// SPDX-License-Identifier: MPL-2.0

//! A [`Stack`] that reads and writes as the standard library's sockets do, for libraries that want it so.

use std::io::{self, IoSlice, Read, Write};

use crate::net::{
    NetError,
    stack::{self, Stack},
};

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stack: Stack,
}

impl Wire {
    pub(super) fn new(stack: Stack) -> Self {
        Self { stack }
    }
}

fn carried(error: NetError) -> io::Error {
    io::Error::other(error)
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        match self.stack.read(buf).map_err(carried)? {
            stack::Read::Data(n) => Ok(n),
            stack::Read::WouldBlock => Err(io::ErrorKind::WouldBlock.into()),
            stack::Read::Closed => Ok(0),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        match self.stack.offer(&[IoSlice::new(buf)]).map_err(carried)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.stack.wants_write() {
            self.stack.offer(&[]).map_err(carried)?;
        }
        match self.stack.wants_write() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }
    }
}
