// SPDX-License-Identifier: MPL-2.0

//! What an application is told: element messages, signals, warnings and errors. What a server wrote is cut to
//! what a log can bear.

use std::time::Duration;

use gst::{ResourceError, prelude::*};
use serde_json::Value;

use super::{WcsWebrtcBin, kinds::OnFailure, settings::Settings};
use crate::{
    elements::rtmp::bearable,
    net::{NetError, wcs::Failure, websocket::WebSocketError},
    protocol::wcs::{
        message::{StreamState, VideoRate},
        session::{Event, SessionError},
    },
};

fn post(element: &WcsWebrtcBin, structure: gst::Structure) {
    let message = gst::message::Element::builder(structure).src(element);
    let _ = element.post_message(message.build());
}

pub(super) fn session_status(element: &WcsWebrtcBin, status: &str, info: Option<&str>) {
    post(
        element,
        gst::Structure::builder("wcs-session-status")
            .field("status", status)
            .field_if_some("info", info.map(bearable))
            .build(),
    );
}

pub(super) fn stream_status(element: &WcsWebrtcBin, state: &StreamState) {
    post(
        element,
        gst::Structure::builder("wcs-stream-status")
            .field("status", bearable(state.status.as_str()))
            .field("media-session-id", bearable(&state.media_session_id))
            .field("name", bearable(&state.name))
            .field_if_some("info", state.info.as_deref().map(bearable))
            .field_if_some("audio-codec", state.audio_codec.as_deref().map(bearable))
            .field_if_some("video-codec", state.video_codec.as_deref().map(bearable))
            .field_if_some("record-name", state.record_name.as_deref().map(bearable))
            .build(),
    );
}

pub(super) fn rate_structure(name: &str, rate: &VideoRate) -> gst::Structure {
    gst::Structure::builder(name)
        .field("video-rate", rate.video_rate)
        .field("fps", rate.fps)
        .field("nack", rate.nack)
        .field("pli", rate.pli)
        .field("lost-packets", rate.lost_packets)
        .field("width", rate.width)
        .field("height", rate.height)
        .build()
}

/// Whatever changes nothing here.
pub(super) fn event(element: &WcsWebrtcBin, event: Event) {
    match event {
        Event::Version(version) => {
            let version = bearable(&version);
            gst::info!(
                super::CAT,
                obj = element,
                "The server's version is {version}"
            );
            let structure = gst::Structure::builder("wcs-version").field("version", version);
            post(element, structure.build());
        }
        Event::AudioCodec { id, name } => post(
            element,
            gst::Structure::builder("wcs-audio-codec")
                .field("media-session-id", bearable(&id))
                .field("name", bearable(&name))
                .build(),
        ),
        Event::VideoFormat(format) => post(
            element,
            gst::Structure::builder("wcs-video-format")
                .field("media-session-id", bearable(&format.media_session_id))
                .field("width", format.streamer_video_width)
                .field("height", format.streamer_video_height)
                .build(),
        ),
        Event::InboundVideoRate(rate) => {
            let rate = rate_structure("wcs-inbound-video-rate", &rate);
            element.set_rate(rate.clone());
            post(element, rate);
        }
        Event::OutboundVideoRate(rate) => {
            let rate = rate_structure("wcs-outbound-video-rate", &rate);
            element.set_rate(rate.clone());
            post(element, rate);
        }
        Event::StreamEvent(event) => {
            let payload = event.payload.unwrap_or_default();
            let kind = bearable(event.kind.as_str());
            post(
                element,
                gst::Structure::builder("wcs-stream-event")
                    .field("media-session-id", bearable(&event.media_session_id))
                    .field("type", &kind)
                    .field("payload", payload.to_string())
                    .build(),
            );
            element.emit_by_name::<()>("stream-event", &[&kind, &payload.to_string()]);
        }
        Event::Available(answer) => {
            let info = answer.info.as_deref().map(bearable);
            post(
                element,
                gst::Structure::builder("wcs-available")
                    .field("id", &answer.id)
                    .field("available", answer.status)
                    .field_if_some("info", info.clone())
                    .build(),
            );
            element.emit_by_name::<()>("available", &[&answer.id, &answer.status, &info]);
        }
        Event::DataStatus(answer) => post(
            element,
            gst::Structure::builder("wcs-data-status")
                .field("id", &answer.operation_id)
                .field("accepted", answer.status == "ACCEPTED")
                .field_if_some("info", answer.info.as_deref().map(bearable))
                .build(),
        ),
        Event::Data(payload) => {
            let payload = payload.to_string();
            let structure = gst::Structure::builder("wcs-data").field("payload", &payload);
            post(element, structure.build());
            element.emit_by_name::<()>("data", &[&payload]);
        }
        Event::Warning(fail) => {
            let what = bearable(&fail.api_method);
            let why = fail.info.as_deref().map(bearable);
            let why = why.unwrap_or_else(|| "it does not say why".to_owned());
            warning(
                element,
                &format!("The server reports that {what} failed: {why}."),
            );
        }
        Event::Unknown(other) => {
            let name = bearable(&other.message);
            gst::info!(super::CAT, obj = element, "An unknown message: {name}");
            post(
                element,
                gst::Structure::builder("wcs-message")
                    .field("name", name)
                    .field("data", Value::Array(other.data).to_string())
                    .build(),
            );
        }
        Event::Malformed(why) => {
            gst::warning!(super::CAT, obj = element, "Not understood: {why}");
        }
        // Those that change something are dealt with elsewhere.
        Event::Established(_)
        | Event::Answer { .. }
        | Event::Status(_)
        | Event::Ended { .. }
        | Event::Failed(_) => {}
    }
}

pub(super) fn retry(element: &WcsWebrtcBin, what: &str, why: &str, pause: Duration) {
    let why = bearable(why);
    gst::warning!(super::CAT, obj = element, "{why} Trying again in {pause:?}");
    post(
        element,
        gst::Structure::builder("wcs-retry")
            .field("what", what)
            .field("why", why)
            .field(
                "pause",
                u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            )
            .build(),
    );
}

pub(super) fn warning(element: &WcsWebrtcBin, sentence: &str) {
    gst::element_warning!(element, ResourceError::Failed, ("{}", bearable(sentence)));
}

/// The session is given up.
pub(super) fn failure(
    element: &WcsWebrtcBin,
    settings: &Settings,
    failure: &Failure,
    sentence: &str,
) {
    let code = match failure {
        Failure::WebSocket(WebSocketError::Net(error)) => match error {
            // Nothing but the settings can make it work: no pipeline should go on as if it could.
            NetError::Settings { .. } => {
                gst::element_error!(element, ResourceError::Settings, ("{}", bearable(sentence)));
                return;
            }
            NetError::Resolve { .. } | NetError::Refused { .. } | NetError::Unreachable { .. } => {
                ResourceError::NotFound
            }
            NetError::Tls { flags, .. } if !flags.is_empty() => ResourceError::NotAuthorized,
            _ => ResourceError::OpenReadWrite,
        },
        Failure::WebSocket(WebSocketError::Http(401 | 403))
        | Failure::Session(SessionError::Refused(_)) => ResourceError::NotAuthorized,
        Failure::WebSocket(WebSocketError::Http(404)) => ResourceError::NotFound,
        _ => ResourceError::OpenReadWrite,
    };
    post_end(element, settings, code, sentence);
}

/// The stream is given up.
pub(super) fn given_up(element: &WcsWebrtcBin, settings: &Settings, sentence: &str) {
    post_end(element, settings, ResourceError::OpenReadWrite, sentence);
}

fn post_end(element: &WcsWebrtcBin, settings: &Settings, code: ResourceError, sentence: &str) {
    let words = bearable(sentence);
    let details = gst::Structure::builder("wcs-error")
        .field_if_some("uri", settings.uri.as_deref())
        .field_if_some("stream-name", settings.stream_name.as_deref())
        .build();
    match settings.on_failure {
        OnFailure::Warn => {
            gst::element_warning!(element, code, ("{words}"), details: details);
        }
        OnFailure::Error => gst::element_error!(element, code, ("{words}"), details: details),
    }
}
