// SPDX-License-Identifier: MPL-2.0

//! A wire that counts what goes over it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `meter PORT`: passes connections on to that port, and says at the end of each how many bytes went both
/// ways over all of them.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let to: u16 = (args.first().and_then(|port| port.parse().ok())).ok_or("meter PORT")?;
    crate::peer::roles_die_with_parent();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    println!("ports rtmp={port}");
    let count = Arc::new(AtomicU64::new(0));
    for client in listener.incoming().flatten() {
        let count = count.clone();
        std::thread::spawn(move || {
            if let Ok(server) = TcpStream::connect(("127.0.0.1", to)) {
                pass(&client, &server, &count);
            }
            println!("done {}", count.load(Ordering::Relaxed));
        });
    }
    Ok(())
}

fn pass(client: &TcpStream, server: &TcpStream, count: &AtomicU64) {
    for socket in [client, server] {
        // Without it the wire is slower, and nothing else.
        let _ = socket.set_nodelay(true);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| copy(server, client, count));
        copy(client, server, count);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, count: &AtomicU64) {
    let mut space = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut space) {
        count.fetch_add(n as u64, Ordering::Relaxed);
        if to.write_all(&space[..n]).is_err() {
            break;
        }
    }
    // Either is closed where the other end has gone.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
