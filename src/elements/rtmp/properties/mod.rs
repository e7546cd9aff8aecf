// SPDX-License-Identifier: MPL-2.0

//! One table of properties for every RTMP element: what it is called, how it reads in gst-inspect,
//! which field of [`Settings`] it is. The elements add nothing to it but `stats`.

// The blocks above the properties are for the documentation tools of GStreamer.
#![allow(unused_doc_comments)]

mod client;
mod listen;
mod peer;
mod play;
mod publish;
mod reconnect;
mod tls;

use std::sync::LazyLock;

use super::{
    settings::{Role, Settings},
    stats,
};
use crate::{
    elements::property::{
        self, choice, from_millis, from_secs, given, millis, property, secret, secs, span, switch,
        text,
    },
    protocol::rtmp::url::Secret,
};

type Property = property::Property<Settings>;

/// The properties of one kind of element.
pub(super) struct Table {
    properties: Vec<Property>,
    /// As GObject wants them: those of `properties` in the same order, then `stats`, and a sink's
    /// `estimated-bitrate`.
    specs: Vec<glib::ParamSpec>,
}

impl Table {
    /// The table of an element with this role.
    pub(super) fn of(role: Role) -> &'static Self {
        static SOURCE: LazyLock<Table> = LazyLock::new(|| Table::new(Role::Source));
        static SINK: LazyLock<Table> = LazyLock::new(|| Table::new(Role::Sink));
        match role {
            Role::Source => &SOURCE,
            Role::Sink => &SINK,
        }
    }

    fn new(role: Role) -> Self {
        let defaults = Settings::new(role);
        let mut properties = peer::properties(&defaults);
        properties.extend(client::properties(&defaults));
        properties.extend(reconnect::properties(&defaults));
        properties.extend(tls::properties(&defaults));
        properties.extend(listen::properties(role, &defaults));
        match role {
            Role::Source => properties.extend(play::properties(&defaults)),
            Role::Sink => properties.extend(publish::properties(&defaults)),
        }
        let mut specs: Vec<_> = properties.iter().map(|p| p.spec.clone()).collect();
        specs.push(stats::property());
        if role == Role::Sink {
            specs.push(stats::estimated_bitrate());
        }
        Self { properties, specs }
    }

    /// What to install in the class.
    pub(super) fn specs(&'static self) -> &'static [glib::ParamSpec] {
        &self.specs
    }

    /// Reads the setting behind property `id`, counted from 1 as GObject does. `None` for those
    /// that are no setting.
    pub(super) fn get(&self, settings: &Settings, id: usize) -> Option<glib::Value> {
        property::get(&self.properties, settings, id)
    }

    /// Changes the setting behind property `id`, counted from 1 as GObject does.
    pub(super) fn set(&self, settings: &mut Settings, id: usize, value: &glib::Value) {
        property::set(&self.properties, settings, id, value);
    }
}

/// The same for what must not be shown.
fn hidden(value: &glib::Value) -> Option<Option<Secret>> {
    given::<Option<String>>(value).map(|text| Some(Secret::new(text)))
}
