// SPDX-License-Identifier: MPL-2.0

//! The class behind [`WebmHttpSink`](super::WebmHttpSink).

use std::{
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use glib::subclass::{Signal, prelude::*};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;

use super::{
    NewHeader, SourceLoss,
    properties::{SPECS, TABLE},
    settings::Settings,
    signals,
    station::Station,
};
use crate::{
    elements::{AUTHOR, property},
    net::{
        fanout,
        interrupt::Interrupt,
        porter::{self, Claim, ClaimError, HttpWanted},
        tls::ServerTls,
    },
    protocol::webm::{Header, Item, Splitter},
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "webmhttpsink",
        gst::DebugColorFlags::empty(),
        Some("Live WebM over HTTP"),
    )
});

/// How long the end of a stream waits for clients that are slow to take it.
const FAREWELL: Duration = Duration::from_secs(3);

/// How often it looks whether they have.
const GLANCE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub struct WebmHttpSink {
    settings: Mutex<Settings>,
    /// Between READY and PAUSED it comes and goes.
    on_air: Mutex<Option<OnAir>>,
    /// What the streaming thread alone uses. The splitter outlives a run, for its clock.
    streaming: Mutex<Streaming>,
    interrupt: Interrupt,
    log_failed: AtomicBool,
    /// What came in was no WebM.
    failed: AtomicBool,
}

#[derive(Debug)]
struct OnAir {
    station: Arc<Station>,
    /// Dropped first: nobody comes any more.
    claim: Claim,
    url: String,
}

#[derive(Debug, Default)]
struct Streaming {
    splitter: Option<Splitter>,
    /// The header that came in caps, for a sink that was linked to a running muxer.
    stream_header: Vec<Bytes>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WebmHttpSink {
    fn station(&self) -> Option<Arc<Station>> {
        lock(&self.on_air).as_ref().map(|air| air.station.clone())
    }

    /// Opens the port on the way to PAUSED.
    fn open(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let wrong = |text: &str| gst::error_msg!(gst::ResourceError::Settings, ("{text}"));
        let paths = settings.paths().map_err(|text| wrong(&text))?;
        let address = listen_address(&settings).map_err(|text| wrong(&text))?;
        let tls = match (&settings.tls_certificate, &settings.tls_private_key) {
            (None, None) if settings.tls_client_ca.is_none() => None,
            (None, _) => return Err(wrong("Name the certificate too, in tls-certificate.")),
            (Some(certificate), key) => {
                let tls = ServerTls {
                    cert: certificate.clone(),
                    key: key.as_ref().unwrap_or(certificate).clone(),
                    client_ca: settings.tls_client_ca.clone(),
                };
                let config = tls.server_config();
                Some(config.map_err(|error| wrong(&format!("TLS cannot be served: {error}.")))?)
            }
        };
        let secure = tls.is_some();
        let (path, patience) = (settings.path.clone(), settings.header_timeout);
        self.log_failed.store(false, Ordering::SeqCst);
        self.failed.store(false, Ordering::SeqCst);
        let station = Station::open(settings, &self.obj()).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::NoSpaceLeft,
                ("There are no resources left to serve clients: {error}.")
            )
        })?;
        let (answers, lists) = (Arc::downgrade(&station), Arc::downgrade(&station));
        let claim = porter::claim_http(HttpWanted {
            address,
            paths,
            tls,
            patience,
            serve: Box::new(move |request, peer| match answers.upgrade() {
                Some(station) => station.answer(request, peer),
                None => porter::Answer::gone(request),
            }),
            listing: Some(Box::new(move || {
                lists.upgrade().map(|station| station.listing())
            })),
        })
        .map_err(|error| refused(&error))?;
        let address = claim.local_addr();
        let scheme = if secure { "https" } else { "http" };
        let url = format!("{scheme}://{}{path}", reachable(address));
        gst::info!(CAT, imp = self, "Serving {url}");
        let message = gst::Structure::builder("webm-listening")
            .field("address", address.ip().to_string())
            .field("port", i32::from(address.port()))
            .field("url", &url)
            .build();
        *lock(&self.on_air) = Some(OnAir {
            station,
            claim,
            url,
        });
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Element::builder(message).src(&*obj).build());
        Ok(())
    }

    /// Closes it. Whoever still watches is cut off, and a player that can comes again.
    fn close(&self) {
        let on_air = lock(&self.on_air).take();
        if let Some(OnAir { station, claim, .. }) = on_air {
            drop(claim);
            drop(station);
        }
        let mut streaming = lock(&self.streaming);
        streaming.stream_header.clear();
        if let Some(splitter) = &mut streaming.splitter {
            splitter.restart();
        }
    }

    /// `whole` tells that the bytes do not go on from some before them.
    fn serve(&self, bytes: &[u8], whole: bool) -> Result<(), gst::FlowError> {
        let station = self.station().ok_or(gst::FlowError::Flushing)?;
        station.received(bytes.len());
        let streaming = &mut *lock(&self.streaming);
        let timecodes = station.settings.timecodes.into();
        let splitter = streaming
            .splitter
            .get_or_insert_with(|| Splitter::new(timecodes));
        splitter.set_timecodes(timecodes);
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let wall = wall.map_or(0, |since| since.as_millis() as u64);
        let mut pushed = Ok(());
        if !splitter.has_header()
            && !bytes.starts_with(&EBML)
            && !streaming.stream_header.is_empty()
        {
            // Linked to a muxer that runs already, somewhere in a frame: only the head of a Cluster
            // that begins with a key frame is no DELTA_UNIT.
            if !whole {
                return Ok(());
            }
            for part in &streaming.stream_header {
                pushed = pushed.and_then(|()| splitter.push(part, wall));
            }
        }
        pushed = pushed.and_then(|()| splitter.push(bytes, wall));
        let mut blocks = Vec::new();
        while let Some(item) = splitter.poll() {
            match item {
                Item::Block(block) => blocks.push(framed(&block.bytes, block.time, block.join)),
                Item::Header(header) => {
                    station.send(blocks.drain(..));
                    self.begin(&station, header);
                }
            }
        }
        station.send(blocks);
        pushed.map_err(|error| {
            self.failed.store(true, Ordering::SeqCst);
            gst::element_imp_error!(
                self,
                gst::StreamError::WrongType,
                ("What comes in is no live WebM or Matroska ({error}); put webmmux streamable=true before this element.")
            );
            gst::FlowError::Error
        })
    }

    fn begin(&self, station: &Station, header: Header) {
        gst::info!(CAT, imp = self, "A stream begins: {}", header.media_type());
        let bytes = header.bytes.clone();
        if !station.begin(header) {
            match station.settings.on_new_header {
                NewHeader::End => station.change(),
                NewHeader::Restart => station.reset(),
            }
        }
        station.set_header(framed(&bytes, 0, false));
    }

    /// Waits until everybody has the end, or for a while.
    fn say_farewell(&self, station: &Station) {
        let until = Instant::now() + FAREWELL;
        while station.clients() > 0 && Instant::now() < until && !self.interrupt.is_set() {
            // There is no event for the last of many threads' clients; this is the end of a stream.
            std::thread::park_timeout(GLANCE);
        }
    }

    /// Says once that the access log cannot be written.
    pub(super) fn log_failed(&self, file: &Path, error: &io::Error) {
        if self.log_failed.swap(true, Ordering::SeqCst) {
            return;
        }
        let code = match error.kind() {
            io::ErrorKind::StorageFull => gst::ResourceError::NoSpaceLeft,
            _ => gst::ResourceError::Write,
        };
        gst::element_imp_warning!(
            self,
            code,
            (
                "The access log {} cannot be written ({error}); the stream goes on.",
                file.display()
            )
        );
    }
}

/// What a stream begins with (RFC 8794 section 11.2.1).
const EBML: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// A chunk of HTTP (RFC 9112 section 7.1) around the bytes.
fn framed(bytes: &[u8], time: u64, join: bool) -> fanout::Block {
    let digits = 1 + bytes.len().checked_ilog(16).unwrap_or(0) as usize;
    let head = digits + 2;
    let mut chunk = Vec::with_capacity(head + bytes.len() + 2);
    // Writing to memory cannot fail.
    let _ = write!(chunk, "{:x}\r\n", bytes.len());
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    fanout::Block {
        data: head..head + bytes.len(),
        bytes: chunk.into(),
        time,
        join,
        kind: fanout::ALL_KINDS,
    }
}

fn listen_address(settings: &Settings) -> Result<SocketAddr, String> {
    let address = settings.address.trim_matches(['[', ']']);
    let ip = match address {
        "" => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::from(Ipv4Addr::LOCALHOST),
        address => address.parse().map_err(|_| {
            format!("The address {address:?} is no IP address to listen on; 0.0.0.0 is all of this machine's.")
        })?,
    };
    Ok(SocketAddr::new(ip, settings.port))
}

/// An address that a browser on this machine can use.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

fn refused(error: &ClaimError) -> gst::ErrorMessage {
    match error {
        ClaimError::Taken { .. } => gst::error_msg!(
            gst::ResourceError::Busy,
            ("Cannot serve: {error}; give one of them another path or port.")
        ),
        ClaimError::Listen { source, .. } => {
            let code = match source.kind() {
                io::ErrorKind::AddrInUse => gst::ResourceError::Busy,
                io::ErrorKind::PermissionDenied => gst::ResourceError::NotAuthorized,
                _ => gst::ResourceError::OpenReadWrite,
            };
            gst::error_msg!(
                code,
                ("Cannot serve: {error}; choose another port or address.")
            )
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for WebmHttpSink {
    const NAME: &'static str = "GstWebmHttpSink";
    type Type = super::WebmHttpSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for WebmHttpSink {
    fn properties() -> &'static [glib::ParamSpec] {
        &SPECS
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(signals::all);
        &SIGNALS
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => {
                let station = self.station();
                let stats = station.map(|station| station.stats()).unwrap_or_default();
                stats.to_structure().to_value()
            }
            "url" => lock(&self.on_air).as_ref().map(|air| &air.url).to_value(),
            // Every other is in the table.
            _ => property::get(&TABLE, &lock(&self.settings), id)
                .unwrap_or_else(|| unimplemented!("Property '{}'", pspec.name())),
        }
    }

    fn set_property(&self, id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
        property::set(&TABLE, &mut lock(&self.settings), id, value);
    }
}

impl GstObjectImpl for WebmHttpSink {}

impl ElementImpl for WebmHttpSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "WebM HTTP sink",
                "Sink/Network",
                "Serves live WebM over HTTP to any number of browsers and players",
                AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = [
                "video/webm",
                "audio/webm",
                "video/x-matroska",
                "audio/x-matroska",
            ];
            let caps = caps.iter().map(|name| gst::Structure::new_empty(*name));
            gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &caps.collect::<gst::Caps>(),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused
            && let Err(error) = self.open()
        {
            self.post_error_message(error);
            return Err(gst::StateChangeError);
        }
        let result = self.parent_change_state(transition);
        let stopped = transition == gst::StateChange::PausedToReady;
        if stopped || (transition == gst::StateChange::ReadyToPaused && result.is_err()) {
            self.close();
        }
        result
    }
}

impl BaseSinkImpl for WebmHttpSink {
    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.clear();
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        if let (Some(structure), Some(station)) = (caps.structure(0), self.station()) {
            station.announce(structure.name().as_str());
            let headers = structure
                .get::<gst::ArrayRef<'_>>("streamheader")
                .map(|headers| headers.iter().filter_map(buffer_bytes).collect())
                .unwrap_or_default();
            lock(&self.streaming).stream_header = headers;
        }
        self.parent_set_caps(caps)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ["Cannot map a buffer."]);
            gst::FlowError::Error
        })?;
        let whole = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        self.serve(&map, whole).map(|()| gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            // Behind an error an end follows that is none.
            gst::EventView::Eos(_) if !self.failed.load(Ordering::SeqCst) => {
                if let Some(station) = self.station()
                    && station.settings.on_source_loss == SourceLoss::Close
                {
                    station.end();
                    self.say_farewell(&station);
                }
                self.restart();
            }
            gst::EventView::FlushStop(_) => self.restart(),
            _ => {}
        }
        self.parent_event(event)
    }
}

impl WebmHttpSink {
    /// What comes next is not the rest of what came.
    fn restart(&self) {
        if let Some(splitter) = &mut lock(&self.streaming).splitter {
            splitter.restart();
        }
    }
}

fn buffer_bytes(value: &glib::SendValue) -> Option<Bytes> {
    let buffer = value.get::<gst::Buffer>().ok()?;
    let map = buffer.map_readable().ok()?;
    Some(Bytes::copy_from_slice(&map))
}

impl super::WebmHttpSink {
    pub(super) fn log_failed(&self, file: &Path, error: &io::Error) {
        self.imp().log_failed(file, error);
    }
}
