// SPDX-License-Identifier: MPL-2.0

//! Where the peer is and how to be let in.

use gst::prelude::*;

use super::{
    Property, choice, from_secs, given, hidden, property, secret, secs, span, switch, text,
};
use crate::elements::rtmp::{
    kinds::{Authmod, Scheme, UrlSplit},
    settings::Settings,
};
use crate::protocol::rtmp::url::Secret;

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        /**
         * location:
         *
         * The whole address, `scheme://[user:password@]host[:port]/application/stream`, optionally
         * followed by librtmp's options: a space and `name=value` each, `\20` for a space in a
         * value. A property that was set itself wins over its part of the location, before or after.
         *
         * What is read is the address in effect, without user name, password and tokens.
         *
         * | option | property | option | property |
         * |---|---|---|---|
         * | `app` | application | `socks` | socks-proxy |
         * | `playpath` | stream | `live` | live |
         * | `tcUrl` | tc-url | `subscribe` | subscribe |
         * | `pageUrl` | page-url | `playlist` | playlist |
         * | `swfUrl` | swf-url | `start` | start-time |
         * | `swfVfy` | swf-verify | `stop` | stop-time |
         * | `swfAge` | swf-age | `buffer` | buffer-time |
         * | `flashver` | flash-version | `timeout` | timeout |
         * | `conn` | extra-connect-args | `token` | secure-token |
         * | `pubUser` | username | `jtv` | usher-token |
         * | `pubPasswd` | password | | |
         */
        property(
            glib::ParamSpecString::builder("location")
                .nick("Location")
                .blurb("Address of the stream, rtmp://host/application/stream, with librtmp's options \
                        after a space; properties that are set win over their part of it; \
                        reads without user name, password and tokens")
                .default_value(defaults.location().as_str())
                .mutable_ready()
                .build(),
            |s| s.location().to_value(),
            // The elements set it themselves: it can be refused.
            |_, _| (),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("scheme", *defaults.scheme)
                .nick("Scheme")
                .blurb("What is spoken below RTMP")
                .mutable_ready()
                .build(),
            |s| s.scheme.to_value(),
            |s, v| s.scheme.choose(Some(given::<Scheme>(v))),
        ),
        property(
            glib::ParamSpecString::builder("host")
                .nick("Host")
                .blurb("Name or address of the server; of a listener: the address to listen on, 0.0.0.0 for all")
                .default_value(defaults.host.as_str())
                .mutable_ready()
                .build(),
            |s| s.host.to_value(),
            |s, v| s.host.choose(given(v)),
        ),
        property(
            glib::ParamSpecInt::builder("port")
                .nick("Port")
                .blurb("TCP port of the server; unset, it is the scheme's: \
                        1935 for rtmp and rtmpe, 443 for rtmps and rtmpts, 80 for rtmpt and rtmpte; \
                        0 lets a listener take a free one")
                .minimum(0)
                .maximum(i32::from(u16::MAX))
                .default_value(i32::from(defaults.port()))
                .mutable_ready()
                .build(),
            |s| i32::from(s.port()).to_value(),
            |s, v| s.port.choose(given::<i32>(v).try_into().ok().map(Some)),
        ),
        property(
            glib::ParamSpecString::builder("application")
                .nick("Application")
                .blurb("Application on the server, with its instance and query if it has them; of a listener: what \
                        callers name, empty for any, * for any letters")
                .default_value(defaults.application.as_str())
                .mutable_ready()
                .build(),
            |s| s.application.to_value(),
            |s, v| s.application.choose(given(v)),
        ),
        property(
            glib::ParamSpecString::builder("stream")
                .nick("Stream")
                .blurb("Name of the stream, also called stream key or playpath, with its query; of a listener: what \
                        callers name, empty for any, * for any letters")
                .default_value(defaults.stream.as_str())
                .mutable_ready()
                .build(),
            |s| s.stream.to_value(),
            |s, v| s.stream.choose(given(v)),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("url-split", defaults.url_split)
                .nick("URL split")
                .blurb("Where in the path of a location the application ends and the stream begins")
                .mutable_ready()
                .build(),
            |s| s.url_split.to_value(),
            |s, v| s.set_url_split(given::<UrlSplit>(v)),
        ),
        text(
            "socks-proxy",
            "SOCKS proxy",
            "SOCKS4 proxy to connect through, host:port; unset for none",
            |s| s.socks_proxy.to_value(),
            |s, v| s.socks_proxy.choose(choice(v)),
        ),
        /**
         * http-proxy:
         *
         * `[http://][user:password@]host[:port]`. What goes through it as HTTP requests (rtmpt, rtmpte)
         * asks it request by request, everything else for a way through (CONNECT), which many proxies
         * allow to port 443 only. What is read has no user name and no password.
         */
        text(
            "http-proxy",
            "HTTP proxy",
            "HTTP proxy to go through, user:password@host:port; unset for none",
            |s| match &s.http_proxy {
                Some(Ok(proxy)) => Some(proxy.to_string()).to_value(),
                _ => None::<String>.to_value(),
            },
            |s, v| {
                let text: Option<String> = given(v);
                s.http_proxy = text.map(|text| text.parse().map_err(|_| Secret::new(text)));
            },
        ),
        /**
         * timeout:
         *
         * The limit of each step on the way to a running stream: finding and reaching the host, TLS,
         * handshake, each command. A stream that runs may pause for as long as it likes; see
         * `idle-timeout` of rtmpsrc and `stall-timeout` of rtmpsink.
         */
        span(
            "timeout",
            "Timeout",
            "Longest wait for the peer at each step of connecting, in seconds (0 = for ever); a listener \
             gives callers twice as long for all steps together",
            secs(*defaults.timeout),
            |s| secs(*s.timeout).to_value(),
            |s, v| s.timeout.choose(Some(from_secs(v))),
        ),
        /**
         * async-connect:
         *
         * A sink connects on the way to PAUSED, or with its first buffer where this is false. A source
         * connects when the pipeline asks it for data, whatever this says: when a live one is PLAYING,
         * when a recorded one is PAUSED. No change of state waits for the network in either case.
         */
        switch(
            "async-connect",
            "Connect asynchronously",
            "Sinks: connect on the way to PAUSED, not with the first buffer (sources: no effect)",
            defaults.async_connect,
            |s| s.async_connect.to_value(),
            |s, v| s.async_connect = given(v),
        ),
        text(
            "username",
            "User name",
            "User name for servers that ask for one; unset to publish or play anonymously; of a listener: \
             who may come in",
            |s| s.username.to_value(),
            |s, v| s.username.choose(choice(v)),
        ),
        secret(
            "password",
            "Password",
            "Password for servers that ask for one; of a listener: what callers have to know",
            |s, v| s.password.choose(hidden(v)),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("authmod", defaults.authmod)
                .nick("Authentication")
                .blurb("Which kind of authentication to use where the server asks for one")
                .mutable_ready()
                .build(),
            |s| s.authmod.to_value(),
            |s, v| s.authmod = given::<Authmod>(v),
        ),
        secret(
            "secure-token",
            "SecureToken key",
            "Key that answers a server's SecureToken challenge",
            |s, v| s.secure_token.choose(hidden(v)),
        ),
        secret(
            "usher-token",
            "Usher token",
            "Token for NetStream.Authenticate.UsherToken, which is sent before playing or publishing",
            |s, v| s.usher_token.choose(hidden(v)),
        ),
    ]
}
