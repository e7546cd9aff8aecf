// SPDX-License-Identifier: MPL-2.0

//! What the tables of many clients have in common.

use std::net::TcpListener;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::roles::figure;
use crate::table::cell;

pub(super) const HEAD: [&str; 14] = [
    "",
    "clients",
    "served",
    "CPU s/GB",
    "us a client and second",
    "% of a core",
    "Mb/s, slowest",
    "lag p50 ms",
    "lag p99",
    "lag max",
    "join p50 ms",
    "join p99",
    "longest silence ms",
    "RSS MB",
];

/// The row of what a load printed.
pub(super) fn line(name: &str, count: usize, printed: &str) -> Vec<String> {
    let get = |what| figure(printed, what);
    vec![
        name.to_owned(),
        count.to_string(),
        cell(get("joined"), 0),
        cell(get("cpu_gb"), 3),
        cell(get("us"), 0),
        cell(get("core"), 1),
        cell(get("slowest_mbps"), 2),
        cell(get("lag50"), 0),
        cell(get("lag99"), 0),
        cell(get("lagmax"), 0),
        cell(get("join50"), 0),
        cell(get("join99"), 0),
        cell(get("silence"), 0),
        cell(get("rss").map(|kb| kb / 1024.0), 1),
    ]
}

/// A program that is ended with its owner.
pub(super) struct Process(pub(super) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

pub(super) fn wait_for(port: u16) -> Result<(), String> {
    let started = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if started.elapsed() > Duration::from_secs(20) {
            return Err(format!("nobody listens on {port}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
