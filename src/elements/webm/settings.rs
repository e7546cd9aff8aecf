// SPDX-License-Identifier: MPL-2.0

//! What can be set on a webmhttpsink.

use std::{path::PathBuf, time::Duration};

use super::{NewHeader, SourceLoss, Timecodes};
use crate::{elements::RecoverPolicy, protocol::rtmp::url::Secret};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) title: Option<String>,
    pub(super) player: bool,
    pub(super) timecodes: Timecodes,
    pub(super) batch_time: Duration,
    pub(super) burst_time: Duration,
    pub(super) burst_bytes: u32,
    pub(super) burst_limit: Duration,
    pub(super) recover_policy: RecoverPolicy,
    pub(super) max_lag_time: Duration,
    pub(super) max_lag_bytes: u32,
    pub(super) send_buffer: u32,
    pub(super) timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) max_clients: u32,
    pub(super) max_clients_per_address: u32,
    pub(super) max_bitrate: u32,
    pub(super) on_source_loss: SourceLoss,
    pub(super) on_new_header: NewHeader,
    pub(super) allow_origin: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Secret,
    pub(super) url_secret: Secret,
    pub(super) access_log: Option<PathBuf>,
    pub(super) metrics_path: Option<String>,
    pub(super) status_path: Option<String>,
    pub(super) tls_certificate: Option<PathBuf>,
    pub(super) tls_private_key: Option<PathBuf>,
    pub(super) tls_client_ca: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: "0.0.0.0".to_owned(),
            port: 8080,
            path: "/live".to_owned(),
            title: None,
            player: true,
            timecodes: Timecodes::default(),
            batch_time: Duration::ZERO,
            burst_time: Duration::ZERO,
            burst_bytes: 0,
            burst_limit: Duration::from_secs(30),
            recover_policy: RecoverPolicy::default(),
            max_lag_time: Duration::from_secs(8),
            max_lag_bytes: 16 << 20,
            send_buffer: 64 << 10,
            timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            max_clients: 0,
            max_clients_per_address: 0,
            max_bitrate: 0,
            on_source_loss: SourceLoss::default(),
            on_new_header: NewHeader::default(),
            allow_origin: Some("*".to_owned()),
            user: None,
            password: Secret::default(),
            url_secret: Secret::default(),
            access_log: None,
            metrics_path: None,
            status_path: None,
            tls_certificate: None,
            tls_private_key: None,
            tls_client_ca: None,
        }
    }
}

impl Settings {
    /// Where the page with the player is.
    pub(super) fn page_path(&self) -> String {
        format!("{}/player", self.path.trim_end_matches('/'))
    }

    /// What is served: the stream first, then what belongs to it. Errs with a sentence.
    pub(super) fn paths(&self) -> Result<Vec<String>, String> {
        let mut paths = vec![self.path.clone()];
        if self.player {
            paths.push(self.page_path());
        }
        paths.extend(self.metrics_path.clone());
        paths.extend(self.status_path.clone());
        for (at, path) in paths.iter().enumerate() {
            let odd = |c: char| c.is_control() || ['?', '#', '%'].contains(&c);
            if !path.starts_with('/') || path.contains(odd) || path.split('/').any(is_dots) {
                return Err(format!(
                    "The path {path:?} has to begin with a slash and to do without ?, # and %."
                ));
            }
            if paths.iter().take(at).any(|other| other == path) {
                return Err(format!(
                    "The path {path} is asked for twice; stream, player, metrics and status need one each."
                ));
            }
        }
        Ok(paths)
    }
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked() {
        let paths = |path: &str, metrics: Option<&str>| {
            let settings = Settings {
                path: path.to_owned(),
                metrics_path: metrics.map(str::to_owned),
                ..Settings::default()
            };
            settings.paths()
        };
        assert_eq!(paths("/live", None).unwrap(), ["/live", "/live/player"]);
        assert_eq!(paths("/", None).unwrap(), ["/", "/player"]);
        for (path, metrics) in [
            ("live", None),
            ("", None),
            ("/a?b", None),
            ("/a/../b", None),
            ("/a%20b", None),
            ("/live", Some("metrics")),
            ("/live", Some("/live")),
            ("/live", Some("/live/player")),
        ] {
            let sentence = paths(path, metrics).unwrap_err();
            assert!(sentence.ends_with('.'), "{sentence}");
        }
    }
}
