// SPDX-License-Identifier: MPL-2.0

//! `location`, which is also the element's URI: what it says goes into the settings, and what the
//! settings say comes out.

use gst::prelude::*;

use super::{
    kinds::{Live, Scheme, UrlSplit},
    settings::{Layered, Settings},
};
use crate::protocol::rtmp::url::{
    LibrtmpOptions, RtmpUrl, Secret, UrlError, format_conn, parse_conn,
};

/// Sets the location of an element that is not running. Empty text takes it back.
///
/// # Errors
///
/// A `gst::URIError` with one sentence; the settings are then as they were.
pub(super) fn set(
    element: &gst::Element,
    settings: &mut Settings,
    location: &str,
) -> Result<(), glib::Error> {
    if element.current_state() > gst::State::Ready {
        return Err(glib::Error::new(
            gst::URIError::BadState,
            "the location cannot change while the element runs, set the element to READY first",
        ));
    }
    let result = settings.set_location(location);
    // A property cannot be refused: whoever goes on all the same is told when the element starts.
    settings.location_refused = result
        .as_ref()
        .err()
        .map(|error| error.message().to_owned());
    result
}

/// The location that a property value holds.
pub(super) fn of(value: &glib::Value) -> &str {
    value.get().ok().flatten().unwrap_or_default()
}

impl Settings {
    pub(super) fn set_location(&mut self, location: &str) -> Result<(), glib::Error> {
        if location.is_empty() {
            self.located = None;
            self.locate(None);
            return Ok(());
        }
        let url = RtmpUrl::parse(location, self.url_split.into()).map_err(bad_uri)?;
        self.located = Some(Secret::new(location));
        self.locate(Some((url.scheme.into(), url)));
        Ok(())
    }

    /// Cuts the location anew.
    pub(super) fn set_url_split(&mut self, split: UrlSplit) {
        let before = std::mem::replace(&mut self.url_split, split);
        if let Some(location) = self.located.clone()
            && self.set_location(location.reveal()).is_err()
        {
            // What was a URL under one rule is one under every rule.
            self.url_split = before;
        }
    }

    /// Everything that a location can say, as it is in effect. Of librtmp's options those that the
    /// location said.
    pub(super) fn url(&self) -> RtmpUrl {
        RtmpUrl {
            scheme: (*self.scheme).into(),
            host: (*self.host).clone(),
            port: *self.port,
            application: (*self.application).clone(),
            stream: (*self.stream).clone(),
            username: (*self.username).clone(),
            password: (*self.password).clone(),
            options: self.options(),
        }
    }

    /// The location in effect, for everybody's eyes.
    pub(super) fn location(&self) -> String {
        self.url().to_location(self.url_split.into())
    }

    /// The port in effect.
    pub(super) fn port(&self) -> u16 {
        self.url().effective_port()
    }
}

impl Settings {
    fn locate(&mut self, said: Option<(Scheme, RtmpUrl)>) {
        let (scheme, url) = said.unzip();
        self.scheme.locate(scheme);
        self.host.locate(url.as_ref().map(|u| u.host.clone()));
        self.port.locate(url.as_ref().map(|u| u.port));
        self.application
            .locate(url.as_ref().map(|u| u.application.clone()));
        self.stream.locate(url.as_ref().map(|u| u.stream.clone()));
        self.username
            .locate(url.as_ref().and_then(|u| u.username.clone()).map(Some));
        self.password
            .locate(url.as_ref().and_then(|u| u.password.clone()).map(Some));

        // Taken apart so that an option without a home does not compile.
        let LibrtmpOptions {
            socks,
            tc_url,
            page_url,
            swf_url,
            flash_ver,
            conn,
            playlist,
            live,
            subscribe,
            jtv,
            token,
            swf_vfy,
            swf_age,
            start,
            stop,
            buffer,
            timeout,
        } = url.map(|u| u.options).unwrap_or_default();
        self.socks_proxy
            .locate(socks.map(|proxy| Some(proxy.to_string())));
        self.tc_url.locate(tc_url.map(Some));
        self.page_url.locate(page_url.map(Some));
        self.swf_url.locate(swf_url.map(Some));
        self.flash_version.locate(flash_ver.map(Some));
        self.extra_connect_args
            .locate((!conn.is_empty()).then(|| Some(format_conn(&conn))));
        self.playlist.locate(playlist);
        // librtmp's default, live=0, plays the live stream too if there is no recorded one.
        self.live
            .locate(live.map(|live| if live { Live::Live } else { Live::Auto }));
        self.subscribe.locate(subscribe.map(Some));
        self.usher_token.locate(jtv.map(Some));
        self.secure_token.locate(token.map(Some));
        self.swf_verify.locate(swf_vfy);
        self.swf_age.locate(swf_age);
        self.start_time.locate(start);
        self.stop_time.locate(stop);
        self.buffer_time.locate(buffer);
        self.timeout.locate(timeout);
    }

    fn options(&self) -> LibrtmpOptions {
        fn text(value: &Layered<Option<String>>) -> Option<String> {
            value.located().cloned().flatten()
        }
        LibrtmpOptions {
            socks: text(&self.socks_proxy).and_then(|proxy| proxy.parse().ok()),
            tc_url: text(&self.tc_url),
            page_url: text(&self.page_url),
            swf_url: text(&self.swf_url),
            flash_ver: text(&self.flash_version),
            conn: text(&self.extra_connect_args)
                .and_then(|args| parse_conn(&args).ok())
                .unwrap_or_default(),
            playlist: self.playlist.located().copied(),
            live: self.live.located().map(|live| *live == Live::Live),
            subscribe: text(&self.subscribe),
            // What nobody is to read.
            jtv: None,
            token: None,
            swf_vfy: self.swf_verify.located().copied(),
            swf_age: self.swf_age.located().copied(),
            start: self.start_time.located().copied(),
            stop: self.stop_time.located().copied(),
            buffer: self.buffer_time.located().copied(),
            timeout: self.timeout.located().copied(),
        }
    }
}

fn bad_uri(error: UrlError) -> glib::Error {
    let code = match error {
        UrlError::UnknownScheme(_) => gst::URIError::UnsupportedProtocol,
        _ => gst::URIError::BadUri,
    };
    glib::Error::new(code, &error.to_string())
}
