// SPDX-License-Identifier: MPL-2.0

//! What a pipeline sees of `rtmpsrc` and `rtmpsink` while nothing streams: names, ranks, properties,
//! and how a location and properties share the work.

use std::{fmt::Write, sync::Once};

use gst::prelude::*;

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstrtmp::plugin_register_static().unwrap();
    });
}

fn make(name: &str) -> gst::Element {
    init();
    gst::ElementFactory::make(name).build().unwrap()
}

fn string(element: &gst::Element, property: &str) -> Option<String> {
    element.property(property)
}

/// Any property as `gst-launch-1.0` takes it.
fn text(element: &gst::Element, property: &str) -> String {
    show(&element.property_value(property))
}

fn show(value: &glib::Value) -> String {
    if let Some((_, flags)) = glib::FlagsValue::from_value(value) {
        let nicks: Vec<_> = flags
            .iter()
            .filter(|flag| flag.value().count_ones() == 1)
            .map(|flag| flag.nick())
            .collect();
        return match nicks.is_empty() {
            true => "0".into(),
            false => nicks.join("+"),
        };
    }
    match value.get::<Option<String>>() {
        Ok(text) => text.map_or("NULL".into(), |text| format!("\"{text}\"")),
        Err(_) => value.serialize().unwrap().into(),
    }
}

/// The properties that are not inherited.
fn own_properties(element: &gst::Element) -> impl Iterator<Item = glib::ParamSpec> {
    let type_ = element.type_();
    let specs = Vec::from_iter(element.list_properties().iter().cloned());
    specs
        .into_iter()
        .filter(move |spec| spec.owner_type() == type_)
}

#[test]
fn every_name_is_registered_and_beats_rtmp2_in_rank() {
    init();
    for (name, type_name, uri_type) in [
        ("rtmpsrc", "GstRsRtmpSrc", gst::URIType::Src),
        ("rsrtmpsrc", "GstRsRtmpSrc", gst::URIType::Src),
        ("rtmpsink", "GstRsRtmpSink", gst::URIType::Sink),
        ("rsrtmpsink", "GstRsRtmpSink", gst::URIType::Sink),
        ("rtmptsrc", "GstRsRtmptSrc", gst::URIType::Src),
        ("rsrtmptsrc", "GstRsRtmptSrc", gst::URIType::Src),
        ("rtmptsink", "GstRsRtmptSink", gst::URIType::Sink),
        ("rsrtmptsink", "GstRsRtmptSink", gst::URIType::Sink),
    ] {
        let factory = gst::ElementFactory::find(name).unwrap();
        assert_eq!(factory.plugin_name().as_deref(), Some("rtmp"), "{name}");
        assert_eq!(factory.rank(), gst::Rank::PRIMARY + 2, "{name}");
        assert_eq!(factory.uri_type(), uri_type, "{name}");
        let all = ["rtmp", "rtmps", "rtmpe", "rtmpt", "rtmpts", "rtmpte"];
        let protocols = match name.contains("rtmpt") {
            true => &all[3..],
            false => &all,
        };
        assert_eq!(factory.uri_protocols(), protocols, "{name}");
        let element = make(name);
        assert_eq!(element.type_().name(), type_name, "{name}");
    }
}

#[test]
fn an_url_makes_our_element() {
    init();
    for uri in ["rtmp://h/a/s", "rtmps://h/a/s"] {
        let source = gst::Element::make_from_uri(gst::URIType::Src, uri, None).unwrap();
        assert_eq!(source.type_().name(), "GstRsRtmpSrc");
        let sink = gst::Element::make_from_uri(gst::URIType::Sink, uri, None).unwrap();
        assert_eq!(sink.type_().name(), "GstRsRtmpSink");
    }
}

/// One implementation: the same properties, and another scheme where nobody names one.
#[test]
fn the_tunnelled_faces_differ_in_their_scheme() {
    for (plain, tunnelled) in [("rtmpsrc", "rtmptsrc"), ("rtmpsink", "rtmptsink")] {
        let (plain, tunnelled) = (make(plain), make(tunnelled));
        let names = |element: &gst::Element| {
            let specs = element.list_properties();
            Vec::from_iter(specs.iter().map(|spec| spec.name().to_owned()))
        };
        assert_eq!(names(&plain), names(&tunnelled));
        assert_eq!(text(&plain, "scheme"), "rtmp");
        assert_eq!(text(&tunnelled, "scheme"), "rtmpt");
        assert_eq!(text(&tunnelled, "port"), "80");
        assert_eq!(
            string(&tunnelled, "location").unwrap(),
            "rtmpt://localhost/live/myStream"
        );
        tunnelled.set_property("location", "rtmpts://h/a/s");
        assert_eq!(text(&tunnelled, "port"), "443");
        tunnelled.set_property("location", "");
        assert_eq!(text(&tunnelled, "scheme"), "rtmpt");
        let handler = tunnelled.dynamic_cast_ref::<gst::URIHandler>().unwrap();
        handler.set_uri("rtmpte://h/a/s").unwrap();
        assert_eq!(handler.uri().unwrap(), "rtmpte://h/a/s");
        assert_eq!(text(&tunnelled, "scheme"), "rtmpte");
    }
}

#[test]
fn a_proxy_is_shown_without_its_password() {
    let source = make("rtmpsrc");
    source.set_property("http-proxy", "http://joe:s%40cret@proxy.example:3128");
    assert_eq!(text(&source, "http-proxy"), "\"proxy.example:3128\"");
    source.set_property("http-proxy", None::<&str>);
    assert_eq!(text(&source, "http-proxy"), "NULL");
}

#[test]
fn pads_carry_flv() {
    for (name, pad) in [
        ("rtmpsrc", "src"),
        ("rtmpsink", "sink"),
        ("rtmptsrc", "src"),
        ("rtmptsink", "sink"),
    ] {
        let pad = make(name).static_pad(pad).unwrap();
        assert_eq!(pad.pad_template_caps().to_string(), "video/x-flv");
    }
}

/// One line a property. A change here is a change that users see: it belongs into the changelog.
fn listing(element: &gst::Element) -> String {
    let mut list = String::new();
    for spec in own_properties(element) {
        let access = match (
            spec.flags().contains(glib::ParamFlags::READABLE),
            spec.flags().contains(glib::ParamFlags::WRITABLE),
        ) {
            (true, true) => "rw",
            (true, false) => "r-",
            (false, _) => "-w",
        };
        let default = match spec.value_type().is_a(gst::Structure::static_type()) {
            true => "-".into(),
            false => show(spec.default_value()),
        };
        let (name, type_, blurb) = (spec.name(), spec.value_type(), spec.blurb().unwrap());
        writeln!(list, "{name} {access} {type_} = {default}\n    {blurb}").unwrap();
    }
    list
}

#[test]
fn properties_of_the_source() {
    insta::assert_snapshot!(listing(&make("rtmpsrc")));
}

#[test]
fn properties_of_the_sink() {
    insta::assert_snapshot!(listing(&make("rtmpsink")));
}

#[test]
fn properties_of_the_web_call_server_client() {
    insta::assert_snapshot!(listing(&make("wcswebrtcbin")));
}

#[test]
fn properties_of_the_muxer() {
    let mux = make("flvmuxbridge");
    let pad = mux.request_pad_simple("video").unwrap();
    let mode = pad.find_property("flv-track-mode").unwrap();
    let (name, blurb) = (mode.name(), mode.blurb().unwrap());
    let list = format!("{}pad: {name}\n    {blurb}\n", listing(&mux));
    insta::assert_snapshot!(list.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

/// Every default in the table is the value that a new element has.
#[test]
fn defaults_are_what_a_new_element_has() {
    for name in ["rtmpsrc", "rtmpsink", "flvmuxbridge", "wcswebrtcbin"] {
        let element = make(name);
        for spec in element.list_properties() {
            let ours = spec.owner_type() == element.type_();
            if !ours
                || ["stats", "custom"].contains(&spec.name())
                || !spec.flags().contains(glib::ParamFlags::READABLE)
            {
                continue;
            }
            let value = text(&element, spec.name());
            assert_eq!(value, show(spec.default_value()), "{name} {}", spec.name());
        }
    }
}

/// Names, types and defaults of rtmp2src and rtmp2sink. Deliberately other: chunk-size, and the
/// secrets, which cannot be read here.
#[test]
fn what_rtmp2_has_is_here() {
    for (ours, theirs) in [("rtmpsrc", "rtmp2src"), ("rtmpsink", "rtmp2sink")] {
        let ours = make(ours);
        let Ok(theirs) = gst::ElementFactory::make(theirs).build() else {
            eprintln!("rtmp2 is not installed here: nothing to compare with");
            return;
        };
        for spec in theirs.list_properties() {
            let name = spec.name();
            // Inherited by both from the same class.
            if ours.type_().is_a(spec.owner_type()) {
                continue;
            }
            let mine = ours
                .find_property(name)
                .unwrap_or_else(|| panic!("no {name}"));
            if spec.value_type().name().starts_with("GstRtmp") {
                // The same nicks with the same numbers.
                assert_eq!(
                    spec.value_type().is_a(glib::Type::ENUM),
                    mine.value_type().is_a(glib::Type::ENUM)
                );
                if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
                    let my_class = glib::EnumClass::with_type(mine.value_type()).unwrap();
                    for value in class.values() {
                        let my_value = my_class.value_by_nick(value.nick()).unwrap();
                        assert_eq!(my_value.value(), value.value(), "{name} {}", value.nick());
                    }
                }
                if let Some(class) = glib::FlagsClass::with_type(spec.value_type()) {
                    let my_class = glib::FlagsClass::with_type(mine.value_type()).unwrap();
                    for value in class.values() {
                        let my_value = my_class.value_by_nick(value.nick()).unwrap();
                        assert_eq!(my_value.value(), value.value(), "{name} {}", value.nick());
                    }
                }
                continue;
            }
            assert_eq!(mine.value_type(), spec.value_type(), "{name}");
            // Older rtmp2 claims to be Flash Player.
            if !["chunk-size", "flash-version", "stats"].contains(&name) {
                assert_eq!(
                    mine.default_value().serialize().ok(),
                    spec.default_value().serialize().ok(),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_location_fills_the_properties() {
    let source = make("rtmpsrc");
    source.set_property(
        "location",
        "rtmps://joe:s%40cret@[::1]:444/app/inst/key?a=b/c",
    );
    assert_eq!(text(&source, "scheme"), "rtmps");
    assert_eq!(string(&source, "host").unwrap(), "::1");
    assert_eq!(source.property::<i32>("port"), 444);
    assert_eq!(string(&source, "application").unwrap(), "app/inst");
    assert_eq!(string(&source, "stream").unwrap(), "key?a=b/c");
    assert_eq!(string(&source, "username").unwrap(), "joe");
}

#[test]
fn every_option_of_the_tail_has_a_property() {
    let source = make("rtmpsrc");
    source.set_property(
        "location",
        "rtmp://h/ignored app=live/x playpath=mp4:y socks=proxy:1081 tcUrl=rtmp://h/t \
         pageUrl=http://p/ swfUrl=http://p/s.swf swfVfy=1 swfAge=7 flashver=LNX\\2011,2 \
         conn=B:1 conn=O:1 conn=NS:who:me\\20too conn=O:0 playlist=on live=1 subscribe=sub start=1500 \
         stop=9000 buffer=2000 timeout=12 token=tok jtv=usher pubUser=u pubPasswd=p",
    );
    for (property, expected) in [
        ("application", "live/x"),
        ("stream", "mp4:y"),
        ("socks-proxy", "proxy:1081"),
        ("tc-url", "rtmp://h/t"),
        ("page-url", "http://p/"),
        ("swf-url", "http://p/s.swf"),
        ("flash-version", "LNX 11,2"),
        ("extra-connect-args", "B:1 O:1 NS:who:me\\20too O:0"),
        ("subscribe", "sub"),
        ("username", "u"),
    ] {
        assert_eq!(
            string(&source, property).as_deref(),
            Some(expected),
            "{property}"
        );
    }
    for (property, expected) in [
        ("swf-verify", "true"),
        ("swf-age", "7"),
        ("playlist", "true"),
        ("live", "live"),
        ("start-time", "1500"),
        ("stop-time", "9000"),
        ("buffer-time", "2000"),
        ("timeout", "12"),
    ] {
        assert_eq!(text(&source, property), expected, "{property}");
    }
}

#[test]
fn a_property_wins_over_the_location_in_either_order() {
    let set: [fn(&gst::Element); 2] = [
        |e| {
            e.set_property(
                "location",
                "rtmp://url-host:1/url-app/url-stream live=1 timeout=9",
            )
        },
        |e| {
            e.set_property("host", "my-host");
            e.set_property("port", 2);
            e.set_property("stream", "my/stream");
            e.set_property_from_str("live", "recorded");
            e.set_property("timeout", 3u32);
        },
    ];
    for order in [[0, 1], [1, 0]] {
        let source = make("rtmpsrc");
        for step in order {
            set[step](&source);
        }
        assert_eq!(string(&source, "host").unwrap(), "my-host");
        assert_eq!(source.property::<i32>("port"), 2);
        assert_eq!(string(&source, "application").unwrap(), "url-app");
        assert_eq!(string(&source, "stream").unwrap(), "my/stream");
        assert_eq!(text(&source, "live"), "recorded");
        assert_eq!(source.property::<u32>("timeout"), 3);
    }
}

#[test]
fn no_value_takes_a_property_back() {
    let sink = make("rtmpsink");
    sink.set_property("host", "mine");
    sink.set_property("location", "rtmp://theirs/a/s");
    assert_eq!(string(&sink, "host").unwrap(), "mine");
    sink.set_property("host", None::<&str>);
    assert_eq!(string(&sink, "host").unwrap(), "theirs");
    sink.set_property("location", None::<&str>);
    assert_eq!(string(&sink, "host").unwrap(), "localhost");
}

#[test]
fn a_location_leaves_nothing_of_the_one_before() {
    let source = make("rtmpsrc");
    source.set_property(
        "location",
        "rtmps://u:p@h:4/a/s swfUrl=http://x timeout=9 live=1",
    );
    source.set_property("location", "rtmp://h/a/s");
    assert_eq!(string(&source, "location").unwrap(), "rtmp://h/a/s");
    assert_eq!(string(&source, "username"), None);
    assert_eq!(string(&source, "swf-url"), None);
    assert_eq!(source.property::<i32>("port"), 1935);
    assert_eq!(source.property::<u32>("timeout"), 5);
    assert_eq!(text(&source, "live"), "auto");
}

#[test]
fn the_port_follows_the_scheme() {
    let sink = make("rtmpsink");
    sink.set_property_from_str("scheme", "rtmps");
    assert_eq!(sink.property::<i32>("port"), 443);
    assert_eq!(
        string(&sink, "location").unwrap(),
        "rtmps://localhost/live/myStream"
    );
    sink.set_property("port", 1935);
    assert_eq!(
        string(&sink, "location").unwrap(),
        "rtmps://localhost:1935/live/myStream"
    );
}

#[test]
fn secrets_do_not_come_back() {
    for name in ["rtmpsrc", "rtmpsink"] {
        let element = make(name);
        element.set_property(
            "location",
            "rtmp://joe:hunter2@h/a/s token=hunter2 jtv=hunter2 pubPasswd=hunter2 timeout=9",
        );
        for property in ["password", "secure-token", "usher-token"] {
            element.set_property(property, "hunter2");
        }
        for spec in own_properties(&element) {
            if spec.flags().contains(glib::ParamFlags::READABLE) {
                let value = format!("{:?}", element.property_value(spec.name()));
                assert!(!value.contains("hunter2"), "{name} {}", spec.name());
            }
        }
        let location = string(&element, "location").unwrap();
        assert_eq!(location, "rtmp://h/a/s timeout=9");
    }
}

#[test]
fn the_dot_graph_holds_no_secret() {
    init();
    let pipeline = gst::Pipeline::new();
    let sink = make("rtmpsink");
    sink.set_property("location", "rtmp://joe:hunter2@h/a/s jtv=hunter2");
    sink.set_property("secure-token", "hunter2");
    pipeline.add(&sink).unwrap();
    let graph = pipeline.debug_to_dot_data(gst::DebugGraphDetails::all());
    assert!(graph.contains("location"), "{graph}");
    assert!(!graph.contains("hunter2"), "{graph}");
}

#[test]
fn uri_and_location_are_one() {
    for name in ["rtmpsrc", "rtmpsink"] {
        let element = make(name);
        let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
        for uri in [
            "rtmp://h/live/stream",
            "rtmp://h:1936/live/inst/stream?x=1",
            "rtmps://[fe80::1]/live/stream",
            "rtmp://h/live/stream swfUrl=http://p/s.swf live=1 timeout=30",
        ] {
            handler.set_uri(uri).unwrap();
            let read = handler.uri().unwrap();
            assert_eq!(read, string(&element, "location").unwrap());

            let other = make(name);
            other.set_property("location", read.as_str());
            for property in [
                "scheme",
                "host",
                "port",
                "application",
                "stream",
                "timeout",
                "swf-url",
            ] {
                assert_eq!(
                    format!("{:?}", other.property_value(property)),
                    format!("{:?}", element.property_value(property)),
                    "{uri} {property}"
                );
            }
        }
    }
}

#[test]
fn a_malformed_location_is_refused_and_changes_nothing() {
    let element = make("rtmpsrc");
    let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
    handler.set_uri("rtmp://h/a/s").unwrap();
    for (uri, kind) in [
        ("rtmp:///a/s", gst::URIError::BadUri),
        ("rtmp://h:0/a/s", gst::URIError::BadUri),
        ("rtmp://[::1/a/s", gst::URIError::BadUri),
        ("rtmp://h/a/s what=ever", gst::URIError::BadUri),
        ("rtmp://h/a/s timeout=soon", gst::URIError::BadUri),
        ("rtmp://h/a/s\nrtmp://h/b/s", gst::URIError::BadUri),
    ] {
        let error = handler.set_uri(uri).unwrap_err();
        assert_eq!(error.kind::<gst::URIError>(), Some(kind), "{uri}: {error}");
        assert_eq!(
            string(&element, "location").unwrap(),
            "rtmp://h/a/s",
            "{uri}"
        );
        element.set_property("location", uri);
        assert_eq!(
            string(&element, "location").unwrap(),
            "rtmp://h/a/s",
            "{uri}"
        );
    }
}

#[test]
fn a_running_element_keeps_its_location() {
    init();
    let element = make("rtmpsink");
    let handler = element.dynamic_cast_ref::<gst::URIHandler>().unwrap();
    handler.set_uri("rtmp://h/a/s").unwrap();
    // Without data a sink stays on its way to PLAYING, which is past READY all the same.
    element.set_property("async", false);
    element.set_property("async-connect", false);
    element.set_state(gst::State::Playing).unwrap();
    let error = handler.set_uri("rtmp://h/a/other").unwrap_err();
    assert_eq!(error.kind::<gst::URIError>(), Some(gst::URIError::BadState));
    element.set_property("location", "rtmp://h/a/other");
    assert_eq!(string(&element, "location").unwrap(), "rtmp://h/a/s");
    element.set_state(gst::State::Null).unwrap();
    handler.set_uri("rtmp://h/a/other").unwrap();
    assert_eq!(string(&element, "location").unwrap(), "rtmp://h/a/other");
}

#[test]
fn the_url_split_can_come_late() {
    let source = make("rtmpsrc");
    source.set_property("location", "rtmp://h/a/b/c");
    assert_eq!(string(&source, "application").unwrap(), "a/b");
    source.set_property_from_str("url-split", "first-slash");
    assert_eq!(string(&source, "application").unwrap(), "a");
    assert_eq!(string(&source, "stream").unwrap(), "b/c");
}

#[test]
fn values_as_gst_launch_writes_them() {
    let sink = make("rtmpsink");
    for (property, written, read) in [
        ("scheme", "rtmps", "rtmps"),
        ("authmod", "llnw", "llnw"),
        (
            "stop-commands",
            "fcunpublish+closestream",
            "fcunpublish+closestream",
        ),
        ("stop-commands", "0", "0"),
        ("stop-commands", "none", "0"),
        ("tls-validation-flags", "0", "0"),
        (
            "tls-validation-flags",
            "unknown-ca+expired",
            "unknown-ca+expired",
        ),
        (
            "tls-validation-flags",
            "validate-all",
            "unknown-ca+bad-identity+not-activated+expired+revoked+insecure+generic-error",
        ),
        ("queue-policy", "drop", "drop"),
        ("handshake", "plain", "plain"),
    ] {
        sink.set_property_from_str(property, written);
        assert_eq!(text(&sink, property), read, "{property}={written}");
    }
}

#[test]
fn stats_have_what_rtmp2_has() {
    for name in ["rtmpsrc", "rtmpsink"] {
        let stats: gst::Structure = make(name).property("stats");
        assert_eq!(stats.name(), "GstRtmpConnectionStats");
        for field in [
            "in-chunk-size",
            "out-chunk-size",
            "in-window-ack-size",
            "out-window-ack-size",
        ] {
            stats.get::<u32>(field).unwrap();
        }
        for field in [
            "in-bytes-total",
            "out-bytes-total",
            "in-bytes-acked",
            "out-bytes-acked",
        ] {
            stats.get::<u64>(field).unwrap();
        }
        assert_eq!(stats.get::<&str>("state").unwrap(), "idle");
        assert_eq!(
            stats
                .get::<Option<gst::ClockTime>>("round-trip-time")
                .unwrap(),
            None
        );
    }
}

#[test]
fn one_handler_that_accepts_a_certificate_is_enough() {
    let source = make("rtmpsrc");
    let ask = || {
        source.emit_by_name::<bool>(
            "accept-certificate",
            &[&"pem", &gio::TlsCertificateFlags::EXPIRED],
        )
    };
    source.connect("accept-certificate", false, |_| Some(false.to_value()));
    assert!(!ask());
    source.connect("accept-certificate", false, |args| {
        let flags: gio::TlsCertificateFlags = args[2].get().unwrap();
        Some((flags == gio::TlsCertificateFlags::EXPIRED).to_value())
    });
    source.connect("accept-certificate", false, |_| Some(false.to_value()));
    assert!(ask());
}
