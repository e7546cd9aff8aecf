// SPDX-License-Identifier: MPL-2.0

//! Sink pads as children, so that properties of pads can be set where the muxer is named:
//! `flvmuxbridge name=mux video::flv-track-mode=multitrack`.

use gst::{prelude::*, subclass::prelude::*};

use super::{FlvMuxBridgePad, imp::FlvMuxBridge};

impl ChildProxyImpl for FlvMuxBridge {
    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let pads = self.pads();
        let pad: &FlvMuxBridgePad = pads.get(usize::try_from(index).ok()?)?;
        Some(pad.clone().upcast())
    }

    fn children_count(&self) -> u32 {
        u32::try_from(self.pads().len()).unwrap_or(u32::MAX)
    }
}
