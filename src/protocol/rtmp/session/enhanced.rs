// SPDX-License-Identifier: MPL-2.0

//! What both sides say about Enhanced RTMP v2 when they connect ("Enhancing NetConnection connect
//! Command"): they hand on whatever comes, for what encodes and decodes is elsewhere in the pipeline.

use crate::protocol::{
    flv::head::FourCc,
    rtmp::amf::{Object, Value},
};

/// `FourCcInfoMask`.
const CAN_FORWARD: f64 = 4.0;
/// `CapsExMask`.
const MULTITRACK: f64 = 2.0;
const MOD_EX: f64 = 4.0;
const NANO_OFFSET: f64 = 8.0;

const FOUR_CCS: [FourCc; 12] = [
    FourCc::AV01,
    FourCc::VP09,
    FourCc::VP08,
    FourCc::HVC1,
    FourCc::AVC1,
    FourCc::VVC1,
    FourCc::AC_3,
    FourCc::EC_3,
    FourCc::OPUS,
    FourCc::MP3,
    FourCc::FLAC,
    FourCc::MP4A,
];

/// Adds to the object of a connect command, or to the properties of its answer.
pub(super) fn announce(object: &mut Object) {
    let forwards = || {
        let mut map = Object::default();
        map.push("*", CAN_FORWARD);
        map
    };
    object.push("videoFourCcInfoMap", forwards());
    object.push("audioFourCcInfoMap", forwards());
    object.push("capsEx", MULTITRACK + MOD_EX + NANO_OFFSET);
}

/// Adds the list that servers of Enhanced RTMP v1 know, by name: few of them know the `*` of v2.
pub(super) fn announce_list(object: &mut Object) {
    let list = FOUR_CCS.map(|four_cc| Value::String(four_cc.to_string()));
    object.push("fourCcList", Value::StrictArray(list.to_vec()));
}
