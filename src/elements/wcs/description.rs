// SPDX-License-Identifier: MPL-2.0

//! `GstWebRTCSessionDescription` without libgstwebrtc.
//!
//! Linking that library would make every element of this plugin vanish on machines without it, those that
//! speak RTMP and never need it. webrtcbin brings it along, and with it the type; all that is needed
//! here is the structure's two fields, which the public header `gst/webrtc/rtcsessiondescription.h`
//! lays down.

use std::ffi::{c_int, c_void};

use glib::translate::{ToGlibPtr, ToGlibPtrMut};

const TYPE: &str = "GstWebRTCSessionDescription";

/// Which side of the negotiation a description is (`GstWebRTCSDPType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpType {
    /// The first word.
    Offer = 1,
    /// The second.
    Answer = 3,
}

#[repr(C)]
struct Raw {
    kind: c_int,
    sdp: *mut gst_sdp::ffi::GstSDPMessage,
}

/// A description as webrtcbin's signals take it.
///
/// # Errors
/// The text is no description, or webrtcbin was never loaded.
pub fn to_value(kind: SdpType, text: &str) -> Result<glib::Value, glib::BoolError> {
    let message = gst_sdp::SDPMessage::parse_buffer(text.as_bytes())?;
    let type_ = glib::Type::from_name(TYPE)
        .ok_or_else(|| glib::bool_error!("There is no {TYPE}: webrtcbin is missing"))?;
    let mut value = glib::Value::from_type(type_);
    let raw = Raw {
        kind: kind as c_int,
        sdp: message.as_ptr(),
    };
    // SAFETY: the value is of that boxed type, whose copy function reads both fields and copies the
    // message; both live across the call.
    unsafe {
        glib::gobject_ffi::g_value_set_boxed(
            value.to_glib_none_mut().0,
            (&raw const raw).cast::<c_void>(),
        );
    }
    Ok(value)
}

/// The text of a description that webrtcbin gave; `None` for any other value.
pub fn to_text(value: &glib::Value) -> Option<String> {
    if value.type_().name() != TYPE {
        return None;
    }
    // SAFETY: the value is of that boxed type, whose content is null or a `Raw` with a message; it is
    // only read, while the value is borrowed.
    unsafe {
        let raw = glib::gobject_ffi::g_value_get_boxed(value.to_glib_none().0).cast::<Raw>();
        let sdp = raw.as_ref()?.sdp;
        let message: glib::translate::Borrowed<gst_sdp::SDPMessage> =
            (!sdp.is_null()).then(|| glib::translate::from_glib_borrow(sdp))?;
        message.as_text().ok().map(|text| text.to_string())
    }
}
