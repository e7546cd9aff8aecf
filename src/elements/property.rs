// SPDX-License-Identifier: MPL-2.0

//! Properties as a table: what each is called, how it reads in gst-inspect, which field of an element's
//! settings `S` it is.

use std::time::Duration;

use glib::value::FromValue;
use gst::prelude::*;

/// A property and the setting behind it.
pub(super) struct Property<S> {
    pub(super) spec: glib::ParamSpec,
    pub(super) get: fn(&S) -> glib::Value,
    pub(super) set: fn(&mut S, &glib::Value),
}

/// Reads the setting behind property `id`, counted from 1 as GObject does. `None` if the table has none.
pub(super) fn get<S>(table: &[Property<S>], settings: &S, id: usize) -> Option<glib::Value> {
    let property = table.get(id.checked_sub(1)?)?;
    Some((property.get)(settings))
}

/// Changes the setting behind property `id`, counted from 1 as GObject does.
pub(super) fn set<S>(table: &[Property<S>], settings: &mut S, id: usize, value: &glib::Value) {
    if let Some(property) = id.checked_sub(1).and_then(|i| table.get(i)) {
        (property.set)(settings, value);
    }
}

pub(super) fn property<S>(
    spec: glib::ParamSpec,
    get: fn(&S) -> glib::Value,
    set: fn(&mut S, &glib::Value),
) -> Property<S> {
    Property { spec, get, set }
}

/// Text that can be set and never read, which keeps it out of dot graphs and of `gst-launch-1.0 -v`.
pub(super) fn secret<S>(
    name: &str,
    nick: &str,
    blurb: &str,
    set: fn(&mut S, &glib::Value),
) -> Property<S> {
    let spec = glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .write_only()
        .mutable_ready()
        .build();
    property(spec, |_| None::<String>.to_value(), set)
}

/// Text without a default.
pub(super) fn text<S>(
    name: &str,
    nick: &str,
    blurb: &str,
    get: fn(&S) -> glib::Value,
    set: fn(&mut S, &glib::Value),
) -> Property<S> {
    let spec = glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .mutable_ready()
        .build();
    property(spec, get, set)
}

/// A choice of yes or no.
pub(super) fn switch<S>(
    name: &str,
    nick: &str,
    blurb: &str,
    default: bool,
    get: fn(&S) -> glib::Value,
    set: fn(&mut S, &glib::Value),
) -> Property<S> {
    let spec = glib::ParamSpecBoolean::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_ready()
        .build();
    property(spec, get, set)
}

/// A time span, in whatever unit the blurb says.
pub(super) fn span<S>(
    name: &str,
    nick: &str,
    blurb: &str,
    default: u32,
    get: fn(&S) -> glib::Value,
    set: fn(&mut S, &glib::Value),
) -> Property<S> {
    let spec = glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_ready()
        .build();
    property(spec, get, set)
}

/// The value that was set. GObject has checked its type before it calls a setter.
pub(super) fn given<'v, T: FromValue<'v>>(value: &'v glib::Value) -> T {
    value.get().expect("a value of the property's type")
}

/// What a property of optional text chooses: text, or nothing.
pub(super) fn choice(value: &glib::Value) -> Option<Option<String>> {
    given::<Option<String>>(value).map(Some)
}

pub(super) fn millis(span: Duration) -> u32 {
    span.as_millis().try_into().unwrap_or(u32::MAX)
}

pub(super) fn from_millis(value: &glib::Value) -> Duration {
    Duration::from_millis(u64::from(given::<u32>(value)))
}

pub(super) fn secs(span: Duration) -> u32 {
    span.as_secs().try_into().unwrap_or(u32::MAX)
}

pub(super) fn from_secs(value: &glib::Value) -> Duration {
    Duration::from_secs(u64::from(given::<u32>(value)))
}
