// SPDX-License-Identifier: MPL-2.0

//! What a server answers: yes, no, and what goes with either.

use super::{Activity, Connect, ServerSession};
use crate::protocol::{
    flv::Tag,
    rtmp::{
        amf::{Object, Value, amf0},
        message::{Command, Control, LimitType, UserControl},
        session::Capabilities,
    },
};

impl ServerSession {
    /// Lets the client in, and tells it what of Enhanced RTMP is taken and sent here, if it speaks that.
    pub fn accept_connect(&mut self, capabilities: &Capabilities) {
        let Connect::Asked {
            transaction,
            object_encoding,
            enhanced,
        } = self.connect
        else {
            return;
        };
        self.connect = Connect::Accepted;
        self.undecided = false;
        self.link.announce_window(self.config.window_ack_size);
        self.link.send_control(Control::SetPeerBandwidth {
            window: self.config.window_ack_size,
            limit: LimitType::Dynamic,
        });
        self.link.change_chunk_size(self.config.chunk_size);
        // Encoders look for an FMS version of at least 3.5 before they use what came with it.
        let mut properties = Object::default();
        properties.push("fmsVer", "FMS/3,5,7,7009");
        properties.push("capabilities", 31.0);
        let mut info = information("NetConnection.Connect.Success", "Connection succeeded.");
        info.push("objectEncoding", object_encoding);
        if enhanced {
            capabilities.announce(&mut properties);
        }
        self.link.send_command(
            0,
            &Command {
                name: "_result".to_owned(),
                transaction,
                object: properties.into(),
                arguments: vec![info.into()],
            },
        );
    }

    /// Turns the client away, with a status code such as `NetConnection.Connect.InvalidApp`.
    pub fn reject_connect(&mut self, code: &str, description: &str) {
        let Connect::Asked { transaction, .. } = self.connect else {
            return;
        };
        self.connect = Connect::Rejected;
        self.undecided = false;
        let info = error_information(code, description);
        self.link
            .send_command(0, &Command::new("_error", transaction, vec![info.into()]));
    }

    /// Grants what was asked for on this message stream.
    ///
    /// It holds for the event that was polled: where the client has withdrawn what that asked for
    /// and asks for something else, nothing happens until the event for it was polled too.
    pub fn accept(&mut self, stream_id: u32) {
        match self.streams.get(stream_id).cloned() {
            Some(Activity::AskedToPublish { name, number }) if number <= self.polled => {
                self.deadline = None;
                self.undecided = false;
                self.link.set_limits(self.config.limits);
                // FMLE-style encoders wait for this one, Flash-style ones for the other.
                let info = information("NetStream.Publish.Start", &name);
                let fc = Command::new("onFCPublish", 0.0, vec![info.into()]);
                self.link.send_command(0, &fc);
                let text = format!("{name} is now published.");
                self.on_status(stream_id, "NetStream.Publish.Start", &text);
                self.streams
                    .insert(stream_id, Activity::Publishing { name });
            }
            Some(Activity::AskedToPlay { name, number }) if number <= self.polled => {
                self.deadline = None;
                self.undecided = false;
                self.link
                    .send_user_control(&UserControl::StreamBegin(stream_id));
                let text = format!("Playing and resetting {name}.");
                self.on_status(stream_id, "NetStream.Play.Reset", &text);
                self.on_status(
                    stream_id,
                    "NetStream.Play.Start",
                    &format!("Started playing {name}."),
                );
                // Flash Player hides samples from scripts unless it is told that it may show them.
                self.send_data(
                    stream_id,
                    &["|RtmpSampleAccess".into(), true.into(), true.into()],
                );
                let info = information("NetStream.Data.Start", "");
                self.send_data(stream_id, &["onStatus".into(), info.into()]);
                self.streams.insert(stream_id, Activity::Playing { name });
            }
            _ => {}
        }
    }

    /// Refuses what was asked for on this message stream, with a status code such as
    /// `NetStream.Publish.BadName`. It holds for the event that was polled, as with
    /// [`accept`](Self::accept).
    pub fn reject(&mut self, stream_id: u32, code: &str, description: &str) {
        let asked = matches!(
            self.streams.get(stream_id),
            Some(Activity::AskedToPublish { number, .. } | Activity::AskedToPlay { number, .. })
                if *number <= self.polled
        );
        if asked {
            self.undecided = false;
            self.streams.insert(stream_id, Activity::Idle);
            let info = error_information(code, description);
            self.link
                .send_command(stream_id, &Command::new("onStatus", 0.0, vec![info.into()]));
        }
    }

    /// Sends a tag to a player; nothing happens on a message stream that does not play.
    pub fn send_media(&mut self, stream_id: u32, tag: &Tag) {
        if matches!(self.streams.get(stream_id), Some(Activity::Playing { .. })) {
            self.link.send_tag(stream_id, tag, false);
        }
    }

    /// Tells the client why its connection is about to be closed.
    pub fn dismiss(&mut self, description: &str) {
        let info = error_information("NetConnection.Connect.Closed", description);
        self.link
            .send_command(0, &Command::new("onStatus", 0.0, vec![info.into()]));
    }

    /// Asks for a sign of life (RTMP 1.0, section 7.1.7); `time` comes back in the answer.
    pub fn ping(&mut self, time: u32) {
        self.link.send_user_control(&UserControl::PingRequest(time));
    }

    /// Asks the client to go on over another connection: to the server at `tc_url`, absolute or relative
    /// to the `tcUrl` it named, or to this one where there is none (Enhanced RTMP v2, "Reconnect
    /// Request"). Whether it understands is in its connect command: [`can_reconnect`].
    ///
    /// [`can_reconnect`]: crate::protocol::rtmp::session::can_reconnect
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: Option<&str>) {
        let mut info = Object::default();
        if let Some(tc_url) = tc_url {
            info.push("tcUrl", tc_url);
        }
        info.push("code", "NetConnection.Connect.ReconnectRequest");
        if let Some(description) = description {
            info.push("description", description);
        }
        info.push("level", "status");
        self.link
            .send_command(0, &Command::new("onStatus", 0.0, vec![info.into()]));
    }

    /// Changes the size of the chunks that follow.
    pub fn set_chunk_size(&mut self, size: u32) {
        self.link.change_chunk_size(size);
    }

    /// Tells a player that the stream it plays is over.
    pub fn end_play(&mut self, stream_id: u32) {
        if let Some(Activity::Playing { name }) = self.streams.get(stream_id).cloned() {
            self.link
                .send_user_control(&UserControl::StreamEof(stream_id));
            let text = format!("{name} is now unpublished.");
            self.on_status(stream_id, "NetStream.Play.UnpublishNotify", &text);
            self.streams.insert(stream_id, Activity::Idle);
        }
    }

    pub(super) fn result(&mut self, transaction: f64, arguments: Vec<Value>) {
        if transaction != 0.0 {
            self.link
                .send_command(0, &Command::new("_result", transaction, arguments));
        }
    }

    pub(super) fn on_status(&mut self, stream_id: u32, code: &str, description: &str) {
        let info = information(code, description);
        self.link
            .send_command(stream_id, &Command::new("onStatus", 0.0, vec![info.into()]));
    }

    fn send_data(&mut self, stream_id: u32, values: &[Value]) {
        let mut body = bytes::BytesMut::new();
        for value in values {
            amf0::encode(value, &mut body);
        }
        self.link.send_data(stream_id, &body.freeze());
    }
}

pub(in crate::protocol::rtmp::session) fn information(code: &str, description: &str) -> Object {
    status_object("status", code, description)
}

pub(super) fn error_information(code: &str, description: &str) -> Object {
    status_object("error", code, description)
}

fn status_object(level: &str, code: &str, description: &str) -> Object {
    let mut object = Object::default();
    object.push("level", level);
    object.push("code", code);
    object.push("description", description);
    object
}
