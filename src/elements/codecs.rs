// SPDX-License-Identifier: MPL-2.0

//! How an RTMP element learns, before a byte flows, which codecs of Enhanced RTMP the element beside it
//! knows or writes: caps say `video/x-flv` and nothing else. It is a custom query; flvmuxbridge and
//! flvdemuxbridge answer it, queues and the like let it through, and where nobody answers everything is
//! possible.

use gst::prelude::*;

use crate::protocol::flv::{Needs, head::FourCc};

/// Name of the query, and of its fields.
const NAME: &str = "rtmp-enhanced-codecs";
const VIDEO: &str = "video";
const AUDIO: &str = "audio";
const MULTITRACK: &str = "multitrack";
const MOD_EX: &str = "mod-ex";

/// Asks whoever is linked to a pad: a muxer answers what it writes in enhanced form, a demuxer what it
/// reads. `None` where nobody answers.
pub(super) fn ask(pad: &gst::Pad) -> Option<Needs> {
    let mut query = gst::query::Custom::new(gst::Structure::new_empty(NAME));
    if !pad.peer_query(query.query_mut()) {
        return None;
    }
    let structure = query.structure()?;
    let codecs = |name| {
        let list = structure.get::<gst::ArrayRef>(name).ok()?;
        let names = list.as_slice().iter();
        let names = names.filter_map(|name| name.get::<&str>().ok());
        let codecs = names.filter_map(|name| name.as_bytes().try_into().ok());
        Some(codecs.map(FourCc).collect())
    };
    Some(Needs {
        video: codecs(VIDEO)?,
        audio: codecs(AUDIO)?,
        multitrack: structure.get(MULTITRACK).ok()?,
        mod_ex: structure.get(MOD_EX).ok()?,
    })
}

/// Answers, if this is that query; `false` if it is another, or `codecs` cannot tell.
pub(super) fn answer(query: &mut gst::QueryRef, codecs: impl FnOnce() -> Option<Needs>) -> bool {
    let gst::QueryViewMut::Custom(query) = query.view_mut() else {
        return false;
    };
    let structure = query.structure_mut();
    if structure.name() != NAME {
        return false;
    }
    let Some(codecs) = codecs() else { return false };
    let names = |list: &[FourCc]| gst::Array::new(list.iter().map(FourCc::to_string));
    structure.set(VIDEO, names(&codecs.video));
    structure.set(AUDIO, names(&codecs.audio));
    structure.set(MULTITRACK, codecs.multitrack);
    structure.set(MOD_EX, codecs.mod_ex);
    true
}
