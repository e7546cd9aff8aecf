// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::protocol::rtmp::amf::{Object, Value};

fn parse(location: &str) -> RtmpUrl {
    RtmpUrl::parse(location, Split::Auto).unwrap_or_else(|error| panic!("{location}: {error}"))
}

/// Application and stream of a location as each rule cuts it: automatic, first, last, librtmp.
#[test]
fn every_rule_cuts_where_it_says() {
    type Row<'a> = (&'a str, [(&'a str, &'a str); 4]);
    let rows: &[Row] = &[
        ("rtmp://h", [("", ""); 4]),
        ("rtmp://h/", [("", ""); 4]),
        ("rtmp://h/live", [("live", ""); 4]),
        ("rtmp://h/live/", [("live", ""); 4]),
        ("rtmp://h/live?a=b", [("live?a=b", ""); 4]),
        ("rtmp://h/live/myStream", [("live", "myStream"); 4]),
        // YouTube, Twitch, Facebook, Kick
        (
            "rtmp://a.rtmp.youtube.com/live2/ab-cd",
            [("live2", "ab-cd"); 4],
        ),
        (
            "rtmp://live.twitch.tv/app/live_1_k?bandwidthtest=true",
            [("app", "live_1_k?bandwidthtest=true"); 4],
        ),
        (
            "rtmps://live-api-s.facebook.com:443/rtmp/FB-1?s_bl=1&s_ps=/2&a=Ab/c",
            [("rtmp", "FB-1?s_bl=1&s_ps=/2&a=Ab/c"); 4],
        ),
        (
            "rtmps://x.global-contribute.live-video.net/app/sk_us_1",
            [("app", "sk_us_1"); 4],
        ),
        // Wowza
        (
            "rtmp://h/vod/_definst_/stream",
            [
                ("vod/_definst_", "stream"),
                ("vod", "_definst_/stream"),
                ("vod/_definst_", "stream"),
                ("vod/_definst_", "stream"),
            ],
        ),
        (
            "rtmp://h/vod/_definst_/a/b",
            [
                ("vod/_definst_", "a/b"),
                ("vod", "_definst_/a/b"),
                ("vod/_definst_/a", "b"),
                ("vod/_definst_/a", "b"),
            ],
        ),
        (
            "rtmp://h/vod/mp4:a/b.mp4",
            [
                ("vod", "mp4:a/b.mp4"),
                ("vod", "mp4:a/b.mp4"),
                ("vod/mp4:a", "b.mp4"),
                ("vod", "mp4:a/b.mp4"),
            ],
        ),
        (
            "rtmp://h/vod/mp4:b.mp4?t=a/b",
            [("vod", "mp4:b.mp4?t=a/b"); 4],
        ),
        // Akamai
        (
            "rtmp://p.ep1.i.akamaientrypoint.net/EntryPoint/stream@12345",
            [("EntryPoint", "stream@12345"); 4],
        ),
        (
            "rtmp://h/live/s@1?auth=a&aifp=v001&slist=s@1",
            [
                ("live", "s@1?auth=a&aifp=v001&slist=s@1"),
                ("live", "s@1?auth=a&aifp=v001&slist=s@1"),
                ("live", "s@1?auth=a&aifp=v001&slist=s@1"),
                ("live/s@1?auth=a&aifp=v001&slist=s@1", "s@1"),
            ],
        ),
        (
            "rtmp://h/ondemand?auth=a&slist=d/f&x=1",
            [
                ("ondemand?auth=a&slist=d/f&x=1", "d/f"),
                ("ondemand?auth=a&slist=d", "f&x=1"),
                ("ondemand?auth=a&slist=d", "f&x=1"),
                ("ondemand?auth=a&slist=d/f&x=1", "d/f"),
            ],
        ),
        (
            "rtmp://h/ondemand?auth=a/mp3:d/f",
            [
                ("ondemand?auth=a", "mp3:d/f"),
                ("ondemand?auth=a", "mp3:d/f"),
                ("ondemand?auth=a/mp3:d", "f"),
                ("ondemand?auth=a", "mp3:d/f"),
            ],
        ),
        (
            "rtmp://h/ondemand/a/b.flv",
            [
                ("ondemand/a", "b.flv"),
                ("ondemand", "a/b.flv"),
                ("ondemand/a", "b.flv"),
                ("ondemand", "a/b"),
            ],
        ),
        // Limelight
        (
            "rtmp://x.fcod.llnwd.net/a1414/e3/s",
            [
                ("a1414/e3", "s"),
                ("a1414", "e3/s"),
                ("a1414/e3", "s"),
                ("a1414/e3", "s"),
            ],
        ),
        (
            "rtmp://x.fcod.llnwd.net/a1414/e3/d/e/s.mp4",
            [
                ("a1414/e3", "d/e/s.mp4"),
                ("a1414", "e3/d/e/s.mp4"),
                ("a1414/e3/d/e", "s.mp4"),
                ("a1414/e3/d", "mp4:e/s"),
            ],
        ),
        (
            "rtmp://h/a1/e/d/s",
            [
                ("a1/e/d", "s"),
                ("a1", "e/d/s"),
                ("a1/e/d", "s"),
                ("a1/e/d", "s"),
            ],
        ),
        // mediamtx
        (
            "rtmp://h/a/b/c/d/e?user=u&pass=p/q",
            [
                ("a/b/c/d", "e?user=u&pass=p/q"),
                ("a", "b/c/d/e?user=u&pass=p/q"),
                ("a/b/c/d", "e?user=u&pass=p/q"),
                ("a/b/c", "d/e?user=u&pass=p/q"),
            ],
        ),
        // SRS
        (
            "rtmp://h/live?vhost=v.net/s",
            [("live?vhost=v.net", "s"); 4],
        ),
        ("rtmp://h/live?token=a%2Fb", [("live?token=a%2Fb", ""); 4]),
        // What librtmp does to file names
        (
            "rtmp://h/vod/a.f4v?x=1",
            [
                ("vod", "a.f4v?x=1"),
                ("vod", "a.f4v?x=1"),
                ("vod", "a.f4v?x=1"),
                ("vod", "mp4:a?x=1"),
            ],
        ),
        (
            "rtmp://h/vod/a.mp3",
            [
                ("vod", "a.mp3"),
                ("vod", "a.mp3"),
                ("vod", "a.mp3"),
                ("vod", "mp3:a"),
            ],
        ),
        (
            "rtmp://h/vod/a%20b.flv",
            [
                ("vod", "a%20b.flv"),
                ("vod", "a%20b.flv"),
                ("vod", "a%20b.flv"),
                ("vod", "a b"),
            ],
        ),
        ("rtmp://h/vod/100%", [("vod", "100%"); 4]),
        ("rtmp://h//s", [("", "s"); 4]),
    ];
    let rules = [
        Split::Auto,
        Split::FirstSlash,
        Split::LastSlash,
        Split::Librtmp,
    ];
    for (location, expected) in rows {
        for (rule, (application, stream)) in rules.into_iter().zip(expected) {
            let url = RtmpUrl::parse(location, rule).unwrap();
            assert_eq!(
                (url.application.as_str(), url.stream.as_str()),
                (*application, *stream),
                "{location} by {rule:?}"
            );
        }
    }
}

#[test]
fn parts_before_the_path() {
    for (scheme, port) in [
        ("rtmp", 1935),
        ("rtmps", 443),
        ("rtmpe", 1935),
        ("rtmpt", 80),
        ("rtmpts", 443),
        ("RTMPTE", 80),
    ] {
        let url = parse(&format!("{scheme}://h/a/b"));
        assert_eq!(url.scheme.as_str(), scheme.to_ascii_lowercase());
        assert_eq!((url.port, url.effective_port()), (None, port));
        assert_eq!(parse(&format!("{scheme}://h:7/a/b")).effective_port(), 7);
    }
    for (location, host, port, tc_url) in [
        ("rtmp://h:/a/b", "h", None, "rtmp://h/a"),
        ("rtmp://h:1935/a/b", "h", Some(1935), "rtmp://h:1935/a"),
        ("rtmp://h:65535", "h", Some(65535), "rtmp://h:65535/"),
        ("rtmps://[::1]/a/b", "::1", None, "rtmps://[::1]/a"),
        ("rtmp://[::1]:9/a/b", "::1", Some(9), "rtmp://[::1]:9/a"),
        (
            "rtmp://[fe80::1%25eth0]/a",
            "fe80::1%eth0",
            None,
            "rtmp://[fe80::1]/a",
        ),
        (
            "rtmp://[fe80::1%eth0]/a",
            "fe80::1%eth0",
            None,
            "rtmp://[fe80::1]/a",
        ),
        (
            "rtmp://[::ffff:1.2.3.4]/a",
            "::ffff:1.2.3.4",
            None,
            "rtmp://[::ffff:1.2.3.4]/a",
        ),
        ("rtmp://u:p@h:5/a?b=c/d", "h", Some(5), "rtmp://h:5/a?b=c"),
        ("  rtmp://my_host/a  ", "my_host", None, "rtmp://my_host/a"),
        ("rtmp://h/a tcUrl=rtmp://x/y", "h", None, "rtmp://x/y"),
    ] {
        let url = parse(location);
        assert_eq!((url.host.as_str(), url.port), (host, port), "{location}");
        assert_eq!(url.tc_url(), tc_url, "{location}");
    }
}

#[test]
fn userinfo_is_decoded_and_never_shown() {
    for (userinfo, user, password) in [
        ("joe:s3cret", Some("joe"), Some("s3cret")),
        ("j%40e:s3%3acret", Some("j@e"), Some("s3:cret")),
        ("joe:s3@cret", Some("joe"), Some("s3@cret")),
        ("joe", Some("joe"), None),
        ("joe:", Some("joe"), Some("")),
        (":s3cret", Some(""), Some("s3cret")),
        ("", None, None),
    ] {
        let url = parse(&format!("rtmp://{userinfo}@h/a/b"));
        assert_eq!(url.username.as_deref(), user, "{userinfo}");
        assert_eq!(
            url.password.as_ref().map(Secret::reveal),
            password,
            "{userinfo}"
        );
        assert_eq!(url.to_location(Split::Auto), "rtmp://h/a/b");
        assert!(!format!("{url:?}{url}{:?}", url.password).contains("cret"));
    }
}

#[test]
fn the_tail_reads_every_option() {
    let url = parse(
        "rtmp://h/x/y  SOCKS=p:99 app=a1414/e3?as=adobe-hmac-sha256&mp=mp3:a,mp4:b \
         tcUrl=rtmp://t/u pageUrl=http://p swfUrl=http://s?a=b flashver=LNX\\2010,0,32,18 \
         conn=B:1 conn=S:au\\20th=x conn=O:1 conn=NN:code:1.5 conn=NO:in:1 conn=NZ:z: conn=O:0 conn=O:0 \
         playpath=mp4:URL/file.mp4 playlist=yes live=TRUE subscribe=sub jtv={j} token=t0k swfVfy=on \
         swfAge=0x10 start=1500 stop=2500 buffer=30000 timeout=120 pubUser=joe pubPasswd=pw ",
    );
    assert_eq!(
        url.application,
        "a1414/e3?as=adobe-hmac-sha256&mp=mp3:a,mp4:b"
    );
    assert_eq!(url.stream, "mp4:URL/file.mp4");
    assert_eq!(url.username.as_deref(), Some("joe"));
    assert_eq!(url.password, Some(Secret::new("pw")));
    let object = |pairs: Vec<(&str, Value)>| {
        Value::Object(Object(
            pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        ))
    };
    assert_eq!(
        url.options,
        LibrtmpOptions {
            socks: Some(SocksProxy {
                host: "p".into(),
                port: 99
            }),
            tc_url: Some("rtmp://t/u".into()),
            page_url: Some("http://p".into()),
            swf_url: Some("http://s?a=b".into()),
            flash_ver: Some("LNX 10,0,32,18".into()),
            conn: vec![
                true.into(),
                "au th=x".into(),
                object(vec![
                    ("code", 1.5.into()),
                    ("in", object(vec![("z", Value::Null)])),
                ]),
            ],
            playlist: Some(true),
            live: Some(true),
            subscribe: Some("sub".into()),
            jtv: Some(Secret::new("{j}")),
            token: Some(Secret::new("t0k")),
            swf_vfy: Some(true),
            swf_age: Some(16),
            start: Some(Duration::from_millis(1500)),
            stop: Some(Duration::from_millis(2500)),
            buffer: Some(Duration::from_secs(30)),
            timeout: Some(Duration::from_secs(120)),
        }
    );
    let shown = format!("{url:?} {url}");
    assert!(!shown.contains("t0k") && !shown.contains("{j}") && !shown.contains("\"pw\""));
}

#[test]
fn command_lines_of_the_content_networks() {
    let akamai = parse(
        "rtmp://x.edgefcs.net app=live?auth=A&aifp=v001&slist=R@1,R@2 \
         playpath=R@1?auth=A&aifp=v001&slist=R@1,R@2 live=1",
    );
    assert_eq!(akamai.application, "live?auth=A&aifp=v001&slist=R@1,R@2");
    assert_eq!(akamai.stream, "R@1?auth=A&aifp=v001&slist=R@1,R@2");
    assert_eq!(
        akamai.tc_url(),
        "rtmp://x.edgefcs.net/live?auth=A&aifp=v001&slist=R@1,R@2"
    );
    let youtube = parse("rtmp://a.rtmp.youtube.com/live2/x/KEY?videoKeyframeFrequency=1 app=live2");
    assert_eq!(youtube.application, "live2");
    assert_eq!(youtube.stream, "KEY?videoKeyframeFrequency=1");
}

#[test]
fn malformed_locations_say_what_to_do() {
    use UrlError::*;
    let long = format!("rtmp://h/{}", "a".repeat(limits::URL_LENGTH));
    for (location, error) in [
        ("", NoScheme),
        ("host/app/stream", NoScheme),
        ("://h/a", NoScheme),
        ("us er://h/a", NoScheme),
        ("http://h/a", UnknownScheme("http".into())),
        ("rtmfp://h/a", UnknownScheme("rtmfp".into())),
        ("rtmp://", NoHost),
        ("rtmp:///live/s", NoHost),
        ("rtmp://:1935/live", NoHost),
        ("rtmp://u:p@/live", NoHost),
        ("rtmp://h<>/live", BadHost),
        ("rtmp://h\u{a0}/live", BadHost),
        ("rtmp://[::1/live", BadBrackets),
        ("rtmp://[::1]x/live", BadBrackets),
        ("rtmp://[]/live", BadBrackets),
        ("rtmp://[host]/live", BadBrackets),
        ("rtmp://[::1%]/live", BadBrackets),
        ("rtmp://::1/live", BareIpv6),
        ("rtmp://h:0/live", BadPort),
        ("rtmp://h:65536/live", BadPort),
        ("rtmp://h:-1/live", BadPort),
        ("rtmp://h:+1/live", BadPort),
        ("rtmp://h:19x/live", BadPort),
        ("rtmp://h:99999999999999999999/live", BadPort),
        ("rtmp://joe:s3/cret@h/live", BadPort),
        ("rtmp://joe:50%@h/live", BadUserinfo),
        ("rtmp://joe:%ff@h/live", BadUserinfo),
        ("rtmp://h/live\r\nX", ControlCharacter),
        ("rtmp://h/live\0", ControlCharacter),
        (long.as_str(), TooLong),
        ("rtmp://h/live my stream", NotAnOption(1)),
        ("rtmp://h/live live=1 =2", NotAnOption(2)),
        ("rtmp://h/live foo=1", UnknownOption("foo".into())),
        ("rtmp://h/live pageUrl=a\\", BadEscape("pageUrl")),
        ("rtmp://h/live PAGEURL=a\\2", BadEscape("pageUrl")),
        ("rtmp://h/live pageUrl=\\zz", BadEscape("pageUrl")),
        ("rtmp://h/live pageUrl=\\ff", BadEscape("pageUrl")),
        ("rtmp://h/live start=-1", BadNumber("start")),
        ("rtmp://h/live timeout=", BadNumber("timeout")),
        ("rtmp://h/live swfAge=4294967296", BadNumber("swfAge")),
        ("rtmp://h/live live=maybe", BadBoolean("live")),
        ("rtmp://h/live socks=:1080", BadSocks),
        ("rtmp://h/live socks=p:0", BadSocks),
        ("rtmp://h/live conn=X:1", Conn(ConnError::BadForm)),
    ] {
        let found = RtmpUrl::parse(location, Split::Auto).unwrap_err();
        assert_eq!(found, error, "{location:?}");
        let message = found.to_string();
        assert!(
            !message.ends_with('.') && message.starts_with(char::is_lowercase),
            "{message}"
        );
        assert!(!message.contains("s3"), "{message}");
    }
}

#[test]
fn malformed_connect_arguments_say_what_to_do() {
    use ConnError::*;
    let deep = "O:1 ".to_owned() + &"NO:x:1 ".repeat(limits::AMF_DEPTH);
    for (text, error) in [
        ("B", BadForm),
        (":1", BadForm),
        ("Q:1", BadForm),
        ("NQ:a:1", BadForm),
        ("BB:a:1", BadForm),
        ("O:1 NS:name", BadForm),
        ("B:2", BadBoolean),
        ("N:1x", BadNumber),
        ("N:", BadNumber),
        ("O:", BadObject),
        ("O:1 NO:a:0", BadObject),
        ("O:1 S:a", Unnamed),
        ("O:1 O:1", Unnamed),
        ("NS:a:b", Named),
        ("NO:a:1", Named),
        ("O:1 O:0 O:0", NotOpen),
        (deep.as_str(), TooDeep),
        ("S:a\\2", BadEscape),
    ] {
        assert_eq!(parse_conn(text), Err(error), "{text}");
    }
}

#[test]
fn connect_arguments_read_as_in_rtmp2() {
    assert_eq!(parse_conn(" \t "), Ok(vec![]));
    let values = parse_conn("B:1  S:a:b conn=N:-1e3 Z: S: O:1 NB:f:0 NS:: S\\3ax").unwrap_err();
    assert_eq!(values, ConnError::Unnamed);
    let values = parse_conn("B:1  S:a:b conn=N:-1e3 Z: S: S:x\\20y O:1 NB:f:no NS::").unwrap();
    let object = Object(vec![("f".into(), false.into()), (String::new(), "".into())]);
    assert_eq!(
        values,
        [
            true.into(),
            "a:b".into(),
            Value::Number(-1000.0),
            Value::Null,
            "".into(),
            "x y".into(),
            object.into(),
        ]
    );
}

/// An element whose properties say something that its location cannot.
#[test]
fn properties_survive_in_the_location() {
    let mut url = parse("rtmp://h/live/old");
    url.stream = "a/b c".into();
    let location = url.to_location(Split::Auto);
    assert_eq!(location, "rtmp://h app=live playpath=a/b\\20c");
    assert_eq!(parse(&location), url);
    url.stream = "a/b".into();
    assert_eq!(url.to_location(Split::FirstSlash), "rtmp://h/live/a/b");
    url.application = "live/x".into();
    url.stream.clear();
    assert_eq!(url.to_location(Split::Auto), "rtmp://h/live/x/");
}

fn rules() -> impl Strategy<Value = Split> {
    prop_oneof![
        Just(Split::Auto),
        Just(Split::FirstSlash),
        Just(Split::LastSlash),
        Just(Split::Librtmp),
    ]
}

fn conn_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(("[^:]{0,5}", inner), 0..4)
            .prop_map(|pairs| Value::Object(Object(pairs)))
    })
}

prop_compose! {
    fn options()(
        texts in prop::array::uniform5(prop::option::weighted(0.3, ".{1,8}")),
        flags in prop::array::uniform3(prop::option::weighted(0.3, any::<bool>())),
        numbers in prop::array::uniform5(prop::option::weighted(0.3, any::<u32>())),
        conn in prop::collection::vec(conn_values(), 0..3),
        socks in prop::option::weighted(0.3, ("[a-z.]{1,9}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", 1..=u16::MAX)),
    ) -> LibrtmpOptions {
        let [tc_url, page_url, swf_url, flash_ver, subscribe] = texts;
        let [playlist, live, swf_vfy] = flags;
        let [start, stop, buffer] = [numbers[0], numbers[1], numbers[2]]
            .map(|ms| ms.map(|ms| Duration::from_millis(ms.into())));
        LibrtmpOptions {
            socks: socks.map(|(host, port)| SocksProxy { host, port }),
            tc_url, page_url, swf_url, flash_ver, subscribe, conn, playlist, live, swf_vfy,
            swf_age: numbers[3],
            start, stop, buffer,
            timeout: numbers[4].map(|s| Duration::from_secs(s.into())),
            jtv: None,
            token: None,
        }
    }
}

prop_compose! {
    fn urls()(
        scheme in prop::sample::select(&Scheme::ALL),
        host in "[a-zA-Z0-9._-]{1,12}|[0-9a-f]{1,4}::[0-9a-f]{1,4}(%[a-z0-9]{1,4})?",
        port in prop::option::of(1..=u16::MAX),
        application in "([a-z0-9?=&:./% \\\\]|_definst_/|slist=|mp4:|ondemand/|a1/e2/){0,12}|.{0,6}",
        stream in "([a-z0-9?=&:./% \\\\]|slist=|mp4:|\\.flv|\\.mp4){0,12}|.{0,6}",
        options in prop_oneof![Just(LibrtmpOptions::default()), options()],
    ) -> RtmpUrl {
        RtmpUrl { scheme, host, port, application, stream, username: None, password: None, options }
    }
}

proptest! {
    #[test]
    fn a_written_location_reads_back(url in urls(), split in rules()) {
        prop_assume!(!url.host.contains("%25"));
        let location = url.to_location(split);
        prop_assert_eq!(RtmpUrl::parse(&location, split), Ok(url), "{}", location);
    }

    #[test]
    fn what_was_read_reads_back(tail in "[ -~]{0,40}", split in rules()) {
        if let Ok(mut url) = RtmpUrl::parse(&format!("rtmp://{tail}"), split) {
            (url.username, url.password) = (None, None);
            (url.options.jtv, url.options.token) = (None, None);
            let location = url.to_location(split);
            prop_assert_eq!(RtmpUrl::parse(&location, split), Ok(url), "{}", location);
        }
    }

    #[test]
    fn nothing_panics(location in any::<String>(), split in rules()) {
        let _ = RtmpUrl::parse(&location, split);
        let _ = RtmpUrl::parse(&format!("rtmp://h/{location}"), split);
        let _ = RtmpUrl::parse(&format!("rtmp://h/a {location}"), split);
        let _ = parse_conn(&location);
    }
}
