// SPDX-License-Identifier: MPL-2.0

//! What there is to say to a bare webrtcbin.

use std::sync::mpsc::channel;

use gst::prelude::*;
use gstrtmp::elements::wcs::description::{SdpType, to_text, to_value};

use super::PATIENCE;

/// Bundling is off and the one address is that of loopback, as in all rows.
pub(super) fn prepare(webrtc: &gst::Element) {
    webrtc.set_property_from_str("bundle-policy", "none");
    let agent = webrtc.property::<glib::Object>("ice-agent");
    agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]);
}

/// Who answers with all candidates at once does not wait 200 ms for a router to open ports.
pub(super) fn forgo_upnp(webrtc: &gst::Element) {
    let ice = webrtc.property::<glib::Object>("ice-agent");
    let agent = ice.property::<glib::Object>("agent");
    agent.set_property("upnp", false);
}

pub(super) fn nick(object: &gst::Element, property: &str) -> String {
    let value = object.property_value(property);
    glib::EnumValue::from_value(&value).map_or_else(String::new, |(_, value)| value.nick().into())
}

/// Calls when the connection stands.
pub(super) fn connected(webrtc: &gst::Element, tell: impl Fn() + Send + Sync + 'static) {
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        if nick(webrtc, "connection-state") == "connected" {
            tell();
        }
    });
}

/// `create-offer` or `create-answer`, and that made the local description.
pub(super) fn create(webrtc: &gst::Element, kind: &str) -> Result<glib::Value, String> {
    let promise = gst::Promise::new();
    webrtc.emit_by_name::<()>(
        &format!("create-{kind}"),
        &[&None::<gst::Structure>, &promise],
    );
    promise.wait();
    let reply = promise.get_reply().ok_or("no reply")?;
    let description = reply.value(kind).map_err(|e| e.to_string())?.clone();
    let description: glib::Value = description.into();
    set(webrtc, "local", description.clone())?;
    Ok(description)
}

pub(super) fn set(
    webrtc: &gst::Element,
    side: &str,
    description: glib::Value,
) -> Result<(), String> {
    let promise = gst::Promise::new();
    let signal = format!("set-{side}-description");
    webrtc.emit_by_name_with_values(&signal, &[description, promise.to_value()]);
    promise.wait();
    match promise
        .get_reply()
        .map(|reply| reply.get::<glib::Error>("error"))
    {
        Some(Ok(error)) => Err(format!("{signal}: {error}")),
        _ => Ok(()),
    }
}

pub(super) fn offered(text: &str) -> Result<glib::Value, String> {
    to_value(SdpType::Offer, text).map_err(|e| e.to_string())
}

pub(super) fn answered(text: &str) -> Result<glib::Value, String> {
    to_value(SdpType::Answer, text).map_err(|e| e.to_string())
}

pub(super) fn text(description: &glib::Value) -> Result<String, String> {
    to_text(description).ok_or("no description".to_owned())
}

/// The local description with all candidates.
pub(super) fn gathered(webrtc: &gst::Element) -> Result<String, String> {
    let (tell, told) = channel();
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        let _ = tell.send(nick(webrtc, "ice-gathering-state"));
    });
    while nick(webrtc, "ice-gathering-state") != "complete" {
        told.recv_timeout(PATIENCE).map_err(|e| e.to_string())?;
    }
    text(&webrtc.property_value("local-description"))
}
