// SPDX-License-Identifier: MPL-2.0

//! The signals of a wcswebrtcbin. Those that tell something are emitted from the element's own thread; a
//! handler that waits keeps this element waiting, and no other.

#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use glib::subclass::Signal;
use gst::prelude::*;

use super::{
    WcsWebrtcBin,
    control::{Task, media_session_id, stream_event},
    json,
};
use crate::{
    elements::rtmp::accept_certificate, net::wcs::Command, protocol::wcs::StreamEventType,
};

pub(super) static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
    vec![
        /**
         * publish:
         * @stream-name: name of the stream, or %NULL for that of the property
         *
         * Publishes what the sink pads bring, in the place of whatever was published or played before.
         *
         * Returns: whether it will be tried; how it goes is told by `stream-status`.
         */
        Signal::builder("publish")
            .param_types([String::static_type()])
            .return_type::<bool>()
            .action()
            .class_handler(|args| begin(args, true))
            .build(),
        /**
         * unpublish:
         *
         * Ends the stream.
         *
         * Returns: whether there is a session to tell.
         */
        Signal::builder("unpublish")
            .return_type::<bool>()
            .action()
            .class_handler(|args| tell(args, Task::End))
            .build(),
        /**
         * play:
         * @stream-name: name of the stream, or %NULL for that of the property
         *
         * Plays a stream, in the place of whatever was published or played before.
         *
         * Returns: whether it will be tried; how it goes is told by `stream-status`.
         */
        Signal::builder("play")
            .param_types([String::static_type()])
            .return_type::<bool>()
            .action()
            .class_handler(|args| begin(args, false))
            .build(),
        /**
         * stop:
         *
         * Ends the stream, as `unpublish` does.
         *
         * Returns: whether there is a session to tell.
         */
        Signal::builder("stop")
            .return_type::<bool>()
            .action()
            .class_handler(|args| tell(args, Task::End))
            .build(),
        /**
         * query-available:
         * @stream-name: name of a stream, or %NULL for that of the property
         *
         * Asks the server whether there is this stream. The signal and the message `available` answer.
         *
         * Returns: what the answer is named by, or %NULL where there is no session.
         */
        Signal::builder("query-available")
            .param_types([String::static_type()])
            .return_type::<Option<String>>()
            .action()
            .class_handler(|args| {
                let element = args.first()?.get::<WcsWebrtcBin>().ok()?;
                let name = name(&element, args.get(1)?)?;
                let id = media_session_id().ok()?;
                let task = Task::Tell(Command::AskAvailable {
                    id: id.clone(),
                    name,
                });
                let told = element.tell(task);
                Some(told.then_some(id).to_value())
            })
            .build(),
        /**
         * mute:
         * @media: `audio` or `video`
         * @muted: whether it is held back
         *
         * Holds back what sink pads of this kind bring, or lets it through again, and tells those who play.
         *
         * Returns: whether there are such pads.
         */
        Signal::builder("mute")
            .param_types([String::static_type(), bool::static_type()])
            .return_type::<bool>()
            .action()
            .class_handler(mute)
            .build(),
        /**
         * send-data:
         * @payload: JSON, or any text
         *
         * Sends something to those who play what is being published, as the SDK's Stream.sendData() does.
         *
         * Returns: whether there is a session; without a stream nobody gets it.
         */
        Signal::builder("send-data")
            .param_types([String::static_type()])
            .return_type::<bool>()
            .action()
            .class_handler(|args| {
                let text = args.get(1)?.get::<Option<String>>().ok()??;
                let event = |id, payload| stream_event(StreamEventType::Data, id, payload);
                tell(args, Task::TellCall(event, Some(json::payload(&text))))
            })
            .build(),
        /**
         * send-app-data:
         * @payload: JSON, or any text
         *
         * Sends something to the application behind the server, as the SDK's Session.sendData() does. The message
         * `wcs-data-status` tells what became of it.
         *
         * Returns: what that message is named by, or %NULL where there is no session.
         */
        Signal::builder("send-app-data")
            .param_types([String::static_type()])
            .return_type::<Option<String>>()
            .action()
            .class_handler(|args| {
                let element = args.first()?.get::<WcsWebrtcBin>().ok()?;
                let text = args.get(1)?.get::<Option<String>>().ok()??;
                let id = media_session_id().ok()?;
                let told = element.tell(Task::Tell(Command::SendData {
                    id: id.clone(),
                    payload: json::payload(&text),
                }));
                Some(told.then_some(id).to_value())
            })
            .build(),
        /**
         * snapshot:
         *
         * Asks the server to take a picture of the stream. The signal `stream-event` tells what became of it.
         *
         * Returns: whether there is a session to tell.
         */
        Signal::builder("snapshot")
            .return_type::<bool>()
            .action()
            .class_handler(|args| {
                tell(args, Task::TellCall(|id, _| Command::Snapshot(id), None))
            })
            .build(),
        /**
         * available:
         * @id: what `query-available` returned
         * @available: whether there is the stream
         * @info: why not, in the server's words, or %NULL
         *
         * The server has answered.
         */
        Signal::builder("available")
            .param_types([
                String::static_type(),
                bool::static_type(),
                String::static_type(),
            ])
            .build(),
        /**
         * stream-event:
         * @type: what happened: `audioMuted`, `videoUnmuted`, `data`, `snapshotCompleted`, `resize` or another
         * @payload: more about it, in JSON
         *
         * Something happened in the stream.
         */
        Signal::builder("stream-event")
            .param_types([String::static_type(), String::static_type()])
            .build(),
        /**
         * data:
         * @payload: in JSON
         *
         * The application behind the server has sent something.
         */
        Signal::builder("data")
            .param_types([String::static_type()])
            .build(),
        accept_certificate(),
    ]
});

fn tell(args: &[glib::Value], task: Task) -> Option<glib::Value> {
    let element = args.first()?.get::<WcsWebrtcBin>().ok()?;
    Some(element.tell(task).to_value())
}

/// The given name, or that of the property.
fn name(element: &WcsWebrtcBin, given: &glib::Value) -> Option<String> {
    let given = given.get::<Option<String>>().ok()?;
    given.or_else(|| element.property("stream-name"))
}

fn begin(args: &[glib::Value], publish: bool) -> Option<glib::Value> {
    let element = args.first()?.get::<WcsWebrtcBin>().ok()?;
    let begun = match name(&element, args.get(1)?) {
        Some(name) => element.tell(Task::Begin { publish, name }),
        None => false,
    };
    Some(begun.to_value())
}

fn mute(args: &[glib::Value]) -> Option<glib::Value> {
    let element = args.first()?.get::<WcsWebrtcBin>().ok()?;
    let media = args.get(1)?.get::<Option<String>>().ok()??;
    let muted = args.get(2)?.get::<bool>().ok()?;
    let inlets = element.inlets();
    let inlets = inlets
        .iter()
        .filter(|inlet| inlet.kind().is_some_and(|kind| kind.name() == media));
    let mut any = false;
    for inlet in inlets {
        inlet.mute(muted);
        any = true;
    }
    if any {
        use StreamEventType::{AudioMuted, AudioUnmuted, VideoMuted, VideoUnmuted};
        element.tell(match (media.as_str(), muted) {
            ("audio", true) => Task::TellCall(|id, _| stream_event(AudioMuted, id, None), None),
            ("audio", false) => Task::TellCall(|id, _| stream_event(AudioUnmuted, id, None), None),
            (_, true) => Task::TellCall(|id, _| stream_event(VideoMuted, id, None), None),
            (_, false) => Task::TellCall(|id, _| stream_event(VideoUnmuted, id, None), None),
        });
    }
    Some(any.to_value())
}
