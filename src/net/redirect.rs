// SPDX-License-Identifier: MPL-2.0

//! Whether a client goes where its server asks it to (Enhanced RTMP v2, "Reconnect Request").
//!
//! Whoever owns the server, or the path to it, could send a stream and the credentials for it anywhere
//! by such a request. So it is followed to hosts that the user named, not out of TLS, and not again and
//! again, unless the user allows more.

use std::{
    collections::VecDeque,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{stack::Target, tls::ClientTls};
use crate::protocol::rtmp::{
    handshake::crypt,
    session::ClientConfig,
    url::{Scheme, TcUrl, UrlError},
};

/// The span in which requests are counted.
const SPAN: Duration = Duration::from_secs(60);

/// A server that asks without end is told of once in this time.
const QUIET: Duration = Duration::from_secs(1);

/// A server, and what to ask it for.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where it is.
    pub target: Target,
    /// What to ask for.
    pub config: ClientConfig,
}

/// What the user allows.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Follow at all.
    pub follow: bool,
    /// ... to hosts that the user did not name.
    pub other_hosts: bool,
    /// ... out of TLS.
    pub downgrade: bool,
    /// How often in a minute; zero for any number of times.
    pub most: u32,
    /// Hosts that the user named, besides the present one.
    pub known_hosts: Vec<String>,
    /// For servers with TLS.
    pub tls: ClientTls,
    /// For servers with RTMPE.
    pub rtmpe: crypt::Version,
}

/// Why a request is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Requests are not followed.
    #[error("the property redirects does not allow it")]
    Off,
    /// What it names is nothing to connect to.
    #[error("it cannot be understood: {0}")]
    Url(#[from] UrlError),
    /// It leads to another host.
    #[error(
        "{0} is another host; list it in backup-locations, or let the property redirects have other-host"
    )]
    OtherHost(String),
    /// It leads out of TLS.
    #[error("it would give up TLS; the property redirects can allow that with downgrade")]
    Downgrade,
    /// It is one of too many.
    #[error("it is one of more than {0} within a minute, a loop; see the property max-redirects")]
    Loop(u32),
    /// It follows one that was refused at once: there is nothing new to say.
    #[error("it was refused just before")]
    Again,
}

/// Requests so far.
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    rules: Rules,
    followed: VecDeque<Instant>,
    refused: Option<Instant>,
}

impl Redirects {
    /// None so far.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            followed: VecDeque::new(),
            refused: None,
        }
    }

    /// Where to go on from `from` when the server there names `tc_url`, or none.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn follow(
        &mut self,
        from: &Place,
        tc_url: Option<&str>,
        now: Instant,
    ) -> Result<Place, Refused> {
        let answer = self.judge(from, tc_url, now);
        match self.refused {
            Some(at) if answer.is_err() && now.saturating_duration_since(at) < QUIET => {
                Err(Refused::Again)
            }
            _ => {
                self.refused = answer.is_err().then_some(now);
                answer
            }
        }
    }

    fn judge(
        &mut self,
        from: &Place,
        tc_url: Option<&str>,
        now: Instant,
    ) -> Result<Place, Refused> {
        if !self.rules.follow {
            return Err(Refused::Off);
        }
        let place = match tc_url {
            Some(reference) => self.rules.place(from, reference)?,
            None => from.clone(),
        };
        let recent = |at: &Instant| now.saturating_duration_since(*at) < SPAN;
        self.followed.retain(recent);
        if self.rules.most > 0 {
            if self.followed.len() >= self.rules.most as usize {
                return Err(Refused::Loop(self.rules.most));
            }
            self.followed.push_back(now);
        }
        Ok(place)
    }
}

impl Rules {
    fn place(&self, from: &Place, reference: &str) -> Result<Place, Refused> {
        let scheme = scheme(&from.target);
        // Users may name a tcUrl of their own making.
        let base = TcUrl::parse(&from.config.tc_url).unwrap_or_else(|_| TcUrl {
            scheme,
            host: from.target.host.clone(),
            port: Some(from.target.port),
            application: from.config.app.clone(),
        });
        let url = base.join(reference)?;
        let mut place = from.clone();
        let target = &mut place.target;
        let origin = |url: &TcUrl| (url.scheme, url.effective_port());
        let same_host = is_same(&url.host, &base.host);
        if !same_host || origin(&url) != origin(&base) {
            if scheme.is_tls() && !url.scheme.is_tls() && !self.downgrade {
                return Err(Refused::Downgrade);
            }
            let known = same_host
                || is_same(&url.host, &target.host)
                || self.known_hosts.iter().any(|host| is_same(&url.host, host));
            if !known && !self.other_hosts {
                return Err(Refused::OtherHost(url.host));
            }
            // Behind a tcUrl of the user's own making, its host is reached where it was.
            if !same_host {
                target.host.clone_from(&url.host);
            }
            target.port = url.effective_port();
            target.address = None;
            target.tunnel = url.scheme.is_tunnelled();
            target.rtmpe = url.scheme.is_rtmpe().then_some(self.rtmpe);
            target.tls = url.scheme.is_tls().then(|| ClientTls {
                // Of the host that the user named.
                server_name: self.tls.server_name.clone().filter(|_| same_host),
                ..self.tls.clone()
            });
        }
        place.config.tc_url = url.to_string();
        if place.config.app != url.application {
            let authenticator = place.config.authenticator.for_application(&url.application);
            place.config.authenticator = authenticator;
            place.config.app = url.application;
        }
        Ok(place)
    }
}

fn scheme(target: &Target) -> Scheme {
    match (target.tls.is_some(), target.tunnel, target.rtmpe.is_some()) {
        (true, false, _) => Scheme::Rtmps,
        (true, true, _) => Scheme::Rtmpts,
        (false, false, true) => Scheme::Rtmpe,
        (false, true, true) => Scheme::Rtmpte,
        (false, true, false) => Scheme::Rtmpt,
        (false, false, false) => Scheme::Rtmp,
    }
}

/// Whether two names are of one host. What they resolve to does not count: that is what whoever lies
/// would choose.
fn is_same(one: &str, other: &str) -> bool {
    let address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one.to_canonical() == other.to_canonical(),
        (None, None) => one
            .trim_end_matches('.')
            .eq_ignore_ascii_case(other.trim_end_matches('.')),
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::testing::client_config;

    fn place(url: &str) -> Place {
        let url = TcUrl::parse(url).unwrap();
        let mut config = client_config("live", "one");
        config.tc_url = url.to_string();
        config.app.clone_from(&url.application);
        let mut target = Target::new(url.host.clone(), url.effective_port());
        target.tls = url.scheme.is_tls().then(ClientTls::default);
        target.tunnel = url.scheme.is_tunnelled();
        Place { target, config }
    }

    fn rules() -> Rules {
        Rules {
            follow: true,
            known_hosts: vec!["backup.example".into()],
            tls: ClientTls {
                server_name: Some("named.example".into()),
                ..ClientTls::default()
            },
            ..Rules::default()
        }
    }

    fn followed(rules: &Rules, from: &str, to: Option<&str>) -> Result<Place, Refused> {
        Redirects::new(rules.clone()).follow(&place(from), to, Instant::now())
    }

    #[test]
    fn the_place_is_what_the_url_says() {
        const HERE: &str = "rtmp://a.example/live";
        for (from, to, host, port, tls, app, tc_url) in [
            (HERE, None, "a.example", 1935, false, "live", HERE),
            (HERE, Some(""), "a.example", 1935, false, "live", HERE),
            (
                HERE,
                Some("/other?x=1"),
                "a.example",
                1935,
                false,
                "other?x=1",
                "rtmp://a.example/other?x=1",
            ),
            (
                HERE,
                Some("rtmp://A.example.:1936/live"),
                "a.example",
                1936,
                false,
                "live",
                "rtmp://A.example.:1936/live",
            ),
            (
                HERE,
                Some("rtmps://a.example/live"),
                "a.example",
                443,
                true,
                "live",
                "rtmps://a.example/live",
            ),
            (
                "rtmps://a.example/live",
                Some("//backup.example/two"),
                "backup.example",
                443,
                true,
                "two",
                "rtmps://backup.example/two",
            ),
        ] {
            let place = followed(&rules(), from, to).unwrap();
            let what = format!("{from} {to:?}");
            assert_eq!(
                (&*place.target.host, place.target.port),
                (host, port),
                "{what}"
            );
            assert_eq!(place.target.tls.is_some(), tls, "{what}");
            assert_eq!(
                (&*place.config.app, &*place.config.tc_url),
                (app, tc_url),
                "{what}"
            );
            assert_eq!(place.config.stream, "one");
        }
        // The name to check a certificate for is that of the host that it was set for.
        let name = |to| {
            let place = followed(&rules(), HERE, Some(to)).unwrap();
            place.target.tls.unwrap().server_name
        };
        assert_eq!(
            name("rtmps://a.example/live").as_deref(),
            Some("named.example")
        );
        assert_eq!(name("rtmps://backup.example/live"), None);
    }

    #[test]
    fn other_hosts_are_refused_unless_allowed() {
        for to in [
            "rtmp://b.example/live",
            "//127.0.0.1/live",
            "//a.example.evil/live",
        ] {
            let from = "rtmp://a.example/live";
            let refused = followed(&rules(), from, Some(to)).unwrap_err();
            assert!(matches!(refused, Refused::OtherHost(_)), "{to}: {refused}");
            let allowed = Rules {
                other_hosts: true,
                ..rules()
            };
            followed(&allowed, from, Some(to)).unwrap();
        }
        // One address has several names.
        followed(
            &rules(),
            "rtmp://127.0.0.1/live",
            Some("//[::ffff:127.0.0.1]/live"),
        )
        .unwrap();
    }

    #[test]
    fn tls_is_not_given_up_unless_allowed() {
        for (from, to) in [
            ("rtmps://a.example/live", "rtmp://a.example/live"),
            ("rtmps://a.example/live", "rtmpt://a.example/live"),
            ("rtmps://a.example/live", "rtmpe://backup.example/live"),
            ("rtmpts://a.example/live", "rtmpt://a.example/live"),
        ] {
            assert_eq!(
                followed(&rules(), from, Some(to)).unwrap_err(),
                Refused::Downgrade
            );
            let allowed = Rules {
                downgrade: true,
                ..rules()
            };
            let place = followed(&allowed, from, Some(to)).unwrap();
            assert!(place.target.tls.is_none());
        }
        followed(
            &rules(),
            "rtmps://a.example/live",
            Some("rtmpts://a.example/live"),
        )
        .unwrap();
    }

    #[test]
    fn a_tc_url_of_the_users_own_is_reached_where_it_was() {
        let mut from = place("rtmp://vhost.example/live");
        from.target.host = "192.0.2.1".into();
        from.target.port = 1999;
        let mut redirects = Redirects::new(rules());
        let mut follow = |to| {
            redirects
                .follow(&from, Some(to), Instant::now())
                .unwrap()
                .target
        };
        let (same, port) = (follow("/other"), follow("//vhost.example:7/live"));
        assert_eq!((&*same.host, same.port), ("192.0.2.1", 1999));
        assert_eq!((&*port.host, port.port), ("192.0.2.1", 7));
        from.config.tc_url = "whatever".into();
        let other = Redirects::new(rules()).follow(&from, Some("/other"), Instant::now());
        let other = other.unwrap();
        assert_eq!(
            (&*other.target.host, other.target.port),
            ("192.0.2.1", 1999)
        );
        assert_eq!(other.config.app, "other");
    }

    #[test]
    fn loops_are_left() {
        let limited = Rules { most: 3, ..rules() };
        let mut redirects = Redirects::new(limited);
        let (from, now) = (place("rtmp://a.example/live"), Instant::now());
        for _ in 0..3 {
            redirects.follow(&from, None, now).unwrap();
        }
        let refused = redirects.follow(&from, Some("/other"), now + SPAN / 2);
        assert_eq!(refused.unwrap_err(), Refused::Loop(3));
        let again = redirects.follow(&from, None, now + SPAN / 2);
        assert_eq!(again.unwrap_err(), Refused::Again);
        let later = redirects.follow(&from, None, now + SPAN / 2 + QUIET);
        assert_eq!(later.unwrap_err(), Refused::Loop(3));
        redirects.follow(&from, None, now + SPAN).unwrap();
        let mut endless = Redirects::new(rules());
        for _ in 0..1000 {
            endless.follow(&from, None, now).unwrap();
        }
        assert!(endless.followed.is_empty(), "nothing gathers");
    }

    #[test]
    fn nothing_is_followed_where_that_is_off() {
        let refused = followed(&Rules::default(), "rtmp://a.example/live", None).unwrap_err();
        assert_eq!(refused, Refused::Off);
    }
}
