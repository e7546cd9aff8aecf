// SPDX-License-Identifier: MPL-2.0

//! What this process holds (proc(5)).

use std::{fmt, fs};

/// At one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Household {
    pub threads: usize,
    pub descriptors: usize,
    /// Resident, in KiB.
    pub memory: usize,
}

impl Household {
    pub fn now() -> Self {
        let count = |folder| fs::read_dir(folder).expect("proc").count();
        Self {
            threads: count("/proc/self/task"),
            descriptors: count("/proc/self/fd"),
            memory: memory("self", "VmRSS:").expect("a figure"),
        }
    }
}

impl fmt::Display for Household {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} threads, {} descriptors, {} KiB",
            self.threads, self.descriptors, self.memory
        )
    }
}

/// A figure of a process in KiB, such as `VmHWM:`, its largest size so far.
pub fn memory(process: &str, figure: &str) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
