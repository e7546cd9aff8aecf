// SPDX-License-Identifier: MPL-2.0

//! A wire that keeps what goes over it, in the order of its going, and writes it down as a capture. To
//! capture on an interface takes rights that a test does not have.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Bytes of a connection, and whether the client said them.
type Said = (usize, bool, Vec<u8>);

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape(Arc<Mutex<Vec<Said>>>);

impl Tape {
    /// Passes connections on to `port`; the port to connect to.
    pub(crate) fn to(port: u16) -> (u16, Self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let tape = Self::default();
        let running = tape.clone();
        thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server");
                let ends = || (client.try_clone().unwrap(), server.try_clone().unwrap());
                let ((from, to), tape) = (ends(), running.clone());
                thread::spawn(move || tape.pass(number, true, from, to));
                let ((to, from), tape) = (ends(), running.clone());
                thread::spawn(move || tape.pass(number, false, from, to));
            }
        });
        (own, tape)
    }

    fn pass(&self, connection: usize, up: bool, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 16384];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            let said = (connection, up, buffer[..n].to_vec());
            // An answer can only be on the tape behind its question.
            self.lock().push(said);
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Said>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a capture in which the server's port is `port`: pcap of bare IPv4, as tcpdump.org has it.
    pub(crate) fn write(&self, path: &Path, port: u16) {
        let mut file = Vec::new();
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 0x0004_0000, 101] {
            file.extend(word.to_le_bytes());
        }
        let mut ends: Vec<[u32; 2]> = Vec::new();
        for (micros, (connection, up, bytes)) in self.lock().iter().enumerate() {
            if ends.len() <= *connection {
                ends.resize(*connection + 1, [1, 1]);
            }
            let client = 40_000 + u16::try_from(*connection).expect("few connections");
            let ports = if *up { [client, port] } else { [port, client] };
            let end = &mut ends[*connection];
            let (own, other) = (usize::from(!*up), usize::from(*up));
            let segment = segment(ports, end[own], end[other], bytes);
            end[own] += u32::try_from(bytes.len()).expect("a short one");
            let length = u32::try_from(segment.len()).expect("a short one");
            let micros = u32::try_from(micros).expect("few");
            for word in [micros / 1_000_000, micros % 1_000_000, length, length] {
                file.extend(word.to_le_bytes());
            }
            file.extend(segment);
        }
        std::fs::write(path, file).expect("a file");
    }
}

/// An IPv4 packet with bytes of TCP. Nobody checks the sums.
fn segment(ports: [u16; 2], sequence: u32, acknowledged: u32, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(40 + bytes.len()).expect("a short one");
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    for port in ports {
        packet.extend(port.to_be_bytes());
    }
    packet.extend(sequence.to_be_bytes());
    packet.extend(acknowledged.to_be_bytes());
    packet.extend([0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(bytes);
    packet
}
