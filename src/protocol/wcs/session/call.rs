// SPDX-License-Identifier: MPL-2.0

//! One call: a stream that is published or played.

use std::time::Instant;

use crate::protocol::wcs::{StreamStatus, message::EndStream};

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The offer was sent.
    Asked,
    /// The answer came.
    Answered,
    /// The server says that media flow.
    Running,
    /// Its end was asked for.
    Ending,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) published: bool,
    pub(super) progress: Progress,
    /// As the server told it last.
    pub(super) status: StreamStatus,
    deadline: Option<Instant>,
}

impl Call {
    pub(super) fn new(name: &str, published: bool, deadline: Option<Instant>) -> Self {
        Self {
            name: name.to_owned(),
            published,
            progress: Progress::Asked,
            status: StreamStatus::Pending,
            deadline,
        }
    }

    /// When what it waits for must have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn step(&mut self, progress: Progress, deadline: Option<Instant>) {
        self.progress = progress;
        self.deadline = deadline;
    }

    /// Whether this status says that its media flow.
    pub(super) fn is_running(&self, status: &StreamStatus) -> bool {
        match self.published {
            true => *status == StreamStatus::Publishing,
            false => *status == StreamStatus::Playing,
        }
    }

    pub(super) fn end_request(&self, id: &str) -> EndStream {
        EndStream {
            media_session_id: id.to_owned(),
            name: self.name.clone(),
            published: self.published,
            has_video: true,
            has_audio: true,
            status: self.status.clone(),
            record: false,
            ..EndStream::default()
        }
    }
}
