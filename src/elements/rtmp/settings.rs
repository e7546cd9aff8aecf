// SPDX-License-Identifier: MPL-2.0

//! What the user of an RTMP element asked for: one struct for all of them.
//!
//! Some of it can be said twice, in a property and in `location` (whose tail, in librtmp's manner,
//! has a word for nearly everything). A [`Layered`] value keeps both, so the order in which an
//! application sets things never matters: the property wins, taking it back brings the location's
//! value back, and another location leaves nothing of the one before.

use std::{ops::Deref, path::PathBuf, time::Duration};

use gio::TlsCertificateFlags;

use super::kinds::{
    Authmod, Burst, Enhanced, Handshake, Live, Mode, QueuePolicy, Reconnect, Redirects,
    RtmpeVersion, Scheme, StopCommands, Takeover, UrlSplit,
};
use crate::elements::RecoverPolicy;
use crate::protocol::rtmp::url::{HttpProxy, Secret};

/// Which way media flows through the element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// From the network into the pipeline.
    Source,
    /// From the pipeline to the network.
    Sink,
}

/// A value with a default that the location can override, and a property both.
#[derive(Clone, Debug)]
pub(super) struct Layered<T> {
    default: T,
    located: Option<T>,
    chosen: Option<T>,
}

impl<T> Layered<T> {
    fn new(default: T) -> Self {
        Self {
            default,
            located: None,
            chosen: None,
        }
    }

    /// What the property says; `None` takes back what it said.
    pub(super) fn choose(&mut self, value: Option<T>) {
        self.chosen = value;
    }

    /// What the location says, if it says something.
    pub(super) fn locate(&mut self, value: Option<T>) {
        self.located = value;
    }

    /// Changes what holds where nobody says anything.
    pub(super) fn set_default(&mut self, value: T) {
        self.default = value;
    }

    /// The value in effect, if the location says something about it.
    pub(super) fn located(&self) -> Option<&T> {
        self.located.as_ref().map(|_| &**self)
    }
}

impl<T> Deref for Layered<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.chosen
            .as_ref()
            .or(self.located.as_ref())
            .unwrap_or(&self.default)
    }
}

/// Everything that can be set. An element clones it when it connects.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    // Where.
    /// As it was set, to be cut again when `url_split` changes.
    pub(super) located: Option<Secret>,
    /// Why the last location was not taken.
    pub(super) location_refused: Option<String>,
    pub(super) mode: Mode,
    pub(super) scheme: Layered<Scheme>,
    pub(super) host: Layered<String>,
    /// `None` for the scheme's.
    pub(super) port: Layered<Option<u16>>,
    pub(super) application: Layered<String>,
    pub(super) stream: Layered<String>,
    pub(super) url_split: UrlSplit,
    pub(super) socks_proxy: Layered<Option<String>>,
    /// `Err` with what was not one.
    pub(super) http_proxy: Option<Result<HttpProxy, Secret>>,
    pub(super) timeout: Layered<Duration>,
    pub(super) async_connect: bool,

    // ... and again.
    pub(super) reconnect: Reconnect,
    /// Zero for ever.
    pub(super) reconnect_attempts: u32,
    pub(super) reconnect_delay: Duration,
    pub(super) reconnect_max_delay: Duration,
    /// Percent.
    pub(super) reconnect_jitter: u32,
    /// Parted by `|`. May hold secrets.
    pub(super) backup_locations: Option<Secret>,
    pub(super) redirects: Redirects,
    /// In a minute; zero for any number of times.
    pub(super) max_redirects: u32,

    // Who.
    pub(super) username: Layered<Option<String>>,
    pub(super) password: Layered<Option<Secret>>,
    pub(super) authmod: Authmod,
    pub(super) secure_token: Layered<Option<Secret>>,
    pub(super) usher_token: Layered<Option<Secret>>,

    // What the client says of itself.
    pub(super) handshake: Handshake,
    pub(super) rtmpe_version: RtmpeVersion,
    pub(super) flash_version: Layered<Option<String>>,
    pub(super) tc_url: Layered<Option<String>>,
    pub(super) page_url: Layered<Option<String>>,
    pub(super) swf_url: Layered<Option<String>>,
    pub(super) swf_verify: Layered<bool>,
    pub(super) swf_age: Layered<u32>,
    pub(super) enhanced: Enhanced,
    pub(super) extra_connect_args: Layered<Option<String>>,

    // TLS.
    pub(super) tls_validation_flags: TlsCertificateFlags,
    pub(super) tls_ca_file: Option<PathBuf>,
    pub(super) tls_certificate: Option<PathBuf>,
    pub(super) tls_private_key: Option<PathBuf>,
    pub(super) tls_server_name: Option<String>,

    // Listening.
    pub(super) url_secret: Option<Secret>,
    pub(super) reject_reason: String,
    /// Zero for never.
    pub(super) ping_interval: Duration,
    // ... for a publisher:
    pub(super) keep_listening: bool,
    pub(super) takeover: Takeover,
    pub(super) takeover_silence: Duration,
    // ... for players:
    pub(super) wait_for_connection: bool,
    /// Zero for no limit.
    pub(super) max_callers: u32,
    /// Zero for no limit.
    pub(super) max_callers_per_address: u32,
    pub(super) batch_time: Duration,
    pub(super) burst: Burst,
    pub(super) recover_policy: RecoverPolicy,
    pub(super) max_lag_time: Duration,
    pub(super) max_lag_bytes: u32,
    /// Zero leaves it to the kernel.
    pub(super) send_buffer: u32,
    /// Zero for never.
    pub(super) source_timeout: Duration,

    // Playing.
    pub(super) live: Layered<Live>,
    pub(super) subscribe: Layered<Option<String>>,
    pub(super) playlist: Layered<bool>,
    pub(super) start_time: Layered<Duration>,
    /// Zero for the end of the stream.
    pub(super) stop_time: Layered<Duration>,
    pub(super) buffer_time: Layered<Duration>,
    pub(super) latency: Duration,
    /// Zero to wait for ever.
    pub(super) idle_timeout: Duration,
    pub(super) no_eof_is_error: bool,

    // Publishing.
    pub(super) chunk_size: u32,
    /// Zero for no pacing.
    pub(super) peak_kbps: u32,
    pub(super) stop_commands: StopCommands,
    pub(super) queue_policy: QueuePolicy,
    pub(super) queue_time: Duration,
    pub(super) queue_bytes: u32,
    pub(super) stall_timeout: Duration,
}

impl Settings {
    /// Bytes a second; zero for no limit.
    pub(super) fn pacing(&self) -> u64 {
        u64::from(self.peak_kbps) * 1000 / 8
    }

    pub(super) fn new(role: Role) -> Self {
        Self {
            located: None,
            location_refused: None,
            mode: Mode::default(),
            scheme: Layered::new(Scheme::default()),
            host: Layered::new("localhost".to_owned()),
            port: Layered::new(None),
            application: Layered::new("live".to_owned()),
            stream: Layered::new("myStream".to_owned()),
            url_split: UrlSplit::default(),
            socks_proxy: Layered::new(None),
            http_proxy: None,
            timeout: Layered::new(Duration::from_secs(5)),
            async_connect: true,

            reconnect: Reconnect::default(),
            // With the delays below, some twenty seconds: a server that restarts is back by then, and
            // whoever starts a pipeline by hand is not left to wonder.
            reconnect_attempts: 6,
            reconnect_delay: Duration::from_millis(500),
            reconnect_max_delay: Duration::from_secs(8),
            reconnect_jitter: 25,
            backup_locations: None,
            redirects: Redirects::FOLLOW,
            // A cluster that is updated moves a stream once or twice.
            max_redirects: 5,

            username: Layered::new(None),
            password: Layered::new(None),
            authmod: Authmod::default(),
            secure_token: Layered::new(None),
            usher_token: Layered::new(None),

            handshake: Handshake::default(),
            rtmpe_version: RtmpeVersion::default(),
            // Servers choose codecs and quirks by flashVer. Players do best without one (rtmp2,
            // 889a3fe932); publishers are let in as Adobe's own encoder.
            flash_version: Layered::new(match role {
                Role::Source => None,
                Role::Sink => Some("FMLE/3.0 (compatible; FMSc/1.0)".to_owned()),
            }),
            tc_url: Layered::new(None),
            page_url: Layered::new(None),
            swf_url: Layered::new(None),
            swf_verify: Layered::new(false),
            swf_age: Layered::new(30),
            enhanced: Enhanced::default(),
            extra_connect_args: Layered::new(None),

            tls_validation_flags: TlsCertificateFlags::VALIDATE_ALL,
            tls_ca_file: None,
            tls_certificate: None,
            tls_private_key: None,
            tls_server_name: None,

            url_secret: None,
            reject_reason: "You may not have this.".to_owned(),
            // As nginx-rtmp has it, which every client has met.
            ping_interval: Duration::from_secs(60),
            keep_listening: false,
            takeover: Takeover::default(),
            takeover_silence: Duration::from_secs(5),
            wait_for_connection: false,
            max_callers: 0,
            max_callers_per_address: 0,
            batch_time: Duration::ZERO,
            burst: Burst::default(),
            recover_policy: RecoverPolicy::default(),
            // More than most players keep in store; who is behind by that much has stopped.
            max_lag_time: Duration::from_secs(5),
            max_lag_bytes: 16 << 20,
            send_buffer: 64 << 10,
            source_timeout: Duration::from_secs(3),

            live: Layered::new(Live::default()),
            subscribe: Layered::new(None),
            playlist: Layered::new(false),
            start_time: Layered::new(Duration::ZERO),
            stop_time: Layered::new(Duration::ZERO),
            buffer_time: Layered::new(Duration::from_secs(30)),
            latency: Duration::from_millis(100),
            idle_timeout: Duration::ZERO,
            no_eof_is_error: false,

            chunk_size: 65536,
            peak_kbps: 0,
            stop_commands: StopCommands::FCUNPUBLISH | StopCommands::DELETESTREAM,
            queue_policy: QueuePolicy::default(),
            // One group of pictures of the usual two seconds: less would drop at every key frame.
            queue_time: Duration::from_secs(2),
            // Two seconds at 64 Mb/s.
            queue_bytes: 16 << 20,
            stall_timeout: Duration::from_secs(30),
        }
    }
}
