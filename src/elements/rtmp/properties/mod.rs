// SPDX-License-Identifier: MPL-2.0

//! One table of properties for every RTMP element: what it is called, how it reads in gst-inspect,
//! which field of [`Settings`] it is. The elements add nothing to it but `stats`.

// The blocks above the properties are for the documentation tools of GStreamer.
#![allow(unused_doc_comments)]

mod client;
mod peer;
mod play;
mod publish;
mod tls;

use std::{sync::LazyLock, time::Duration};

use glib::value::FromValue;
use gst::prelude::*;

use super::{
    settings::{Role, Settings},
    stats,
};
use crate::protocol::rtmp::url::Secret;

/// A property and the setting behind it.
struct Property {
    spec: glib::ParamSpec,
    get: fn(&Settings) -> glib::Value,
    set: fn(&mut Settings, &glib::Value),
}

/// The properties of one kind of element.
pub(super) struct Table {
    properties: Vec<Property>,
    /// As GObject wants them: those of `properties` in the same order, then `stats`.
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
        properties.extend(tls::properties(&defaults));
        match role {
            Role::Source => properties.extend(play::properties(&defaults)),
            Role::Sink => properties.extend(publish::properties(&defaults)),
        }
        let mut specs: Vec<_> = properties.iter().map(|p| p.spec.clone()).collect();
        specs.push(stats::property());
        Self { properties, specs }
    }

    /// What to install in the class.
    pub(super) fn specs(&'static self) -> &'static [glib::ParamSpec] {
        &self.specs
    }

    /// Reads the setting behind property `id`, counted from 1 as GObject does. `None` for `stats`.
    pub(super) fn get(&self, settings: &Settings, id: usize) -> Option<glib::Value> {
        let property = self.properties.get(id.checked_sub(1)?)?;
        Some((property.get)(settings))
    }

    /// Changes the setting behind property `id`, counted from 1 as GObject does.
    pub(super) fn set(&self, settings: &mut Settings, id: usize, value: &glib::Value) {
        if let Some(property) = id.checked_sub(1).and_then(|i| self.properties.get(i)) {
            (property.set)(settings, value);
        }
    }
}

fn property(
    spec: glib::ParamSpec,
    get: fn(&Settings) -> glib::Value,
    set: fn(&mut Settings, &glib::Value),
) -> Property {
    Property { spec, get, set }
}

/// Text that can be set and never read, which keeps it out of dot graphs and of `gst-launch-1.0 -v`.
fn secret(name: &str, nick: &str, blurb: &str, set: fn(&mut Settings, &glib::Value)) -> Property {
    let spec = glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .write_only()
        .mutable_ready()
        .build();
    property(spec, |_| None::<String>.to_value(), set)
}

/// Text without a default.
fn text(
    name: &str,
    nick: &str,
    blurb: &str,
    get: fn(&Settings) -> glib::Value,
    set: fn(&mut Settings, &glib::Value),
) -> Property {
    let spec = glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .mutable_ready()
        .build();
    property(spec, get, set)
}

/// A choice of yes or no.
fn switch(
    name: &str,
    nick: &str,
    blurb: &str,
    default: bool,
    get: fn(&Settings) -> glib::Value,
    set: fn(&mut Settings, &glib::Value),
) -> Property {
    let spec = glib::ParamSpecBoolean::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_ready()
        .build();
    property(spec, get, set)
}

/// A time span, in whatever unit the blurb says.
fn span(
    name: &str,
    nick: &str,
    blurb: &str,
    default: u32,
    get: fn(&Settings) -> glib::Value,
    set: fn(&mut Settings, &glib::Value),
) -> Property {
    let spec = glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_ready()
        .build();
    property(spec, get, set)
}

/// The value that was set. GObject has checked its type before it calls a setter.
fn given<'v, T: FromValue<'v>>(value: &'v glib::Value) -> T {
    value.get().expect("a value of the property's type")
}

/// What a property of optional text chooses: text, or nothing.
fn choice(value: &glib::Value) -> Option<Option<String>> {
    given::<Option<String>>(value).map(Some)
}

/// The same for what must not be shown.
fn hidden(value: &glib::Value) -> Option<Option<Secret>> {
    given::<Option<String>>(value).map(|text| Some(Secret::new(text)))
}

fn millis(span: Duration) -> u32 {
    span.as_millis().try_into().unwrap_or(u32::MAX)
}

fn from_millis(value: &glib::Value) -> Duration {
    Duration::from_millis(u64::from(given::<u32>(value)))
}

fn secs(span: Duration) -> u32 {
    span.as_secs().try_into().unwrap_or(u32::MAX)
}

fn from_secs(value: &glib::Value) -> Duration {
    Duration::from_secs(u64::from(given::<u32>(value)))
}
