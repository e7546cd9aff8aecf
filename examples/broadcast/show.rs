// SPDX-License-Identifier: MPL-2.0

//! The run itself: starts the pipelines, follows their messages, prints and ends.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use gst::{MessageView, prelude::*};

use crate::{
    common::{self, ctrl_c},
    figures::{Figures, Second, quantile},
    options::Options,
    page,
    pipelines::{self, APPLICATION, STREAM, Shared, lock},
};

/// How often the buses are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long the publisher stays away with `--interrupt`.
const AWAY: Duration = Duration::from_secs(1);
/// How long the last pictures may take to arrive.
const DRAIN: Duration = Duration::from_secs(5);

struct Show<'a> {
    options: &'a Options,
    figures: Shared,
    receiver: gst::Pipeline,
    publisher: Option<gst::Pipeline>,
    port: u16,
    /// Publishers that are connected, and all that ever were.
    guests: u32,
    arrivals: u32,
    seconds: u64,
    start: Instant,
    /// The publisher has sent all it had.
    drained: bool,
}

/// Runs as the options say.
///
/// # Errors
/// A sentence, if a pipeline fails or, without `--listen`, if not all arrived as it was sent.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let folder = options.folder.display();
    page::make(&options.folder).map_err(|error| format!("Cannot write to {folder}: {error}."))?;
    let figures = Shared::new(Figures::new().into());
    let receiver = pipelines::receiver(options, &figures)?;
    let mut show = Show {
        options,
        figures,
        receiver,
        publisher: None,
        port: 0,
        guests: 0,
        arrivals: 0,
        seconds: 0,
        start: Instant::now(),
        drained: false,
    };
    let url = page::serve(options.folder.clone()).map_err(|error| error.to_string())?;
    println!("Look at {url} or at {folder}/index.html; Ctrl-C ends it.");
    let outcome = show.play();
    if let Some(publisher) = show.publisher.take() {
        let _ = publisher.set_state(gst::State::Null);
    }
    let _ = show.receiver.set_state(gst::State::Null);
    println!();
    outcome?;
    show.sum_up()
}

impl Show<'_> {
    fn play(&mut self) -> Result<(), String> {
        if self.receiver.set_state(gst::State::Playing).is_err() {
            return Err(common::why_not(&self.receiver));
        }
        ctrl_c::watch();
        let half = self.options.duration.map(|span| self.start + span / 2);
        let mut half = half.filter(|_| self.options.interrupt);
        let mut back = None;
        while !ctrl_c::pressed()
            && self
                .options
                .duration
                .is_none_or(|span| self.start.elapsed() < span)
        {
            self.look()?;
            if half.is_some_and(|half| Instant::now() >= half) {
                half = None;
                self.end_publisher()?;
                back = Some(Instant::now() + AWAY);
            }
            if back.is_some_and(|back| Instant::now() >= back) {
                back = None;
                self.publish()?;
            }
        }
        self.end_publisher()
    }

    /// Follows what happens for a moment.
    fn look(&mut self) -> Result<(), String> {
        let buses = [Some(&self.receiver), self.publisher.as_ref()];
        let buses = buses.into_iter().flatten().filter_map(|line| line.bus());
        for bus in buses.collect::<Vec<_>>() {
            let first = bus.timed_pop(gst::ClockTime::try_from(LOOK).ok());
            for message in first.into_iter().chain(std::iter::from_fn(|| bus.pop())) {
                self.follow(&message)?;
            }
        }
        if self.start.elapsed().as_secs() > self.seconds {
            self.seconds = self.start.elapsed().as_secs();
            self.tell();
        }
        Ok(())
    }

    fn follow(&mut self, message: &gst::Message) -> Result<(), String> {
        match message.view() {
            MessageView::Error(error) => return Err(error.error().to_string()),
            MessageView::Eos(_) => self.drained = true,
            MessageView::Latency(_) => {
                let _ = self.receiver.recalculate_latency();
                if let Some(publisher) = &self.publisher {
                    let _ = publisher.recalculate_latency();
                }
            }
            MessageView::Element(element) => {
                if let Some(structure) = element.structure() {
                    self.follow_element(structure)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn follow_element(&mut self, structure: &gst::StructureRef) -> Result<(), String> {
        let text = |name| structure.get::<String>(name).unwrap_or_default();
        match structure.name().as_str() {
            "rtmp-listening" => {
                let port = structure.get::<u32>("port").ok();
                self.port = port.and_then(|port| port.try_into().ok()).unwrap_or(0);
                match self.options.listen {
                    Some(address) => print!("{}", invitation(address, self.port)),
                    None => self.publish()?,
                }
            }
            "rtmp-caller-added" => {
                self.guests += 1;
                self.arrivals += 1;
                println!(
                    "\r\x1b[KOn the air: {}/{} from {} ({})",
                    text("application"),
                    text("stream"),
                    text("address"),
                    text("encoder"),
                );
            }
            "rtmp-caller-removed" => {
                self.guests = self.guests.saturating_sub(1);
                println!("\r\x1b[KOff the air: {} has left", text("address"));
            }
            _ => {}
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), String> {
        let publisher = pipelines::publisher(self.port, &self.figures)?;
        if publisher.set_state(gst::State::Playing).is_err() {
            return Err(common::why_not(&publisher));
        }
        self.publisher = Some(publisher);
        Ok(())
    }

    /// Lets the publisher say goodbye, and waits until all has arrived.
    fn end_publisher(&mut self) -> Result<(), String> {
        let Some(publisher) = &self.publisher else {
            return Ok(());
        };
        publisher.send_event(gst::event::Eos::new());
        let start = Instant::now();
        self.drained = false;
        while !(self.drained && self.guests == 0) && start.elapsed() < DRAIN {
            self.look()?;
        }
        if let Some(publisher) = self.publisher.take() {
            let _ = publisher.set_state(gst::State::Null);
        }
        Ok(())
    }

    /// Prints a line and brings the page up to date.
    fn tell(&self) {
        let air = self.receiver.by_name("air").expect("it has one");
        let stats = air.property::<gst::Structure>("stats");
        let second = {
            let mut figures = lock(&self.figures);
            figures.reconnects = stats.get("reconnects").unwrap_or_default();
            figures.turn(stats.get("in-bytes-total").unwrap_or_default())
        };
        let reconnects = lock(&self.figures).reconnects;
        let shown = shown(&second, reconnects);
        let line: Vec<_> = shown
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        let line = format!("{:>4} s  {}", self.seconds, line.join("  "));
        let mut out = std::io::stdout();
        if out.is_terminal() {
            print!("\r\x1b[K{line}");
        } else {
            println!("{line}");
        }
        let _ = out.flush();
        let live = self.guests > 0;
        let script = script(self.seconds, live, second.latency, &shown);
        // The page is a courtesy: a full disk does not end the broadcast.
        let _ = page::replace(&self.options.folder, "figures.js", script.as_bytes());
    }

    fn sum_up(&mut self) -> Result<(), String> {
        let mut figures = lock(&self.figures);
        let reconnects = figures.reconnects;
        let total = &mut figures.total;
        println!(
            "{} pictures came, {} with their time in them; {:.1} MB; {reconnects} reconnects.",
            total.frames,
            total.stamped,
            total.bytes as f64 / 1e6,
        );
        let mut at = |part| {
            quantile(&mut total.latencies, part)
                .unwrap_or_default()
                .as_millis()
        };
        let (least, median, late, most) = (at(0.0), at(0.5), at(0.99), at(1.0));
        if total.stamped > 0 {
            println!(
                "From glass to glass: {median} ms in the middle, 99 of 100 within {late} ms, \
                 {least} to {most} ms in all."
            );
        }
        let picture = self.options.folder.join("frame.png");
        if picture.exists() {
            println!("The last picture: {}", picture.display());
        }
        if self.options.listen.is_some() {
            return Ok(());
        }
        let unread = total.frames - total.stamped;
        let wrong = match total {
            _ if self.arrivals == 0 => "Nobody came to publish.",
            total if total.frames == 0 => "No picture arrived.",
            _ if unread > 0 => "Some pictures arrived without their time: they were damaged.",
            total if total.disordered > 0 => "Pictures arrived in a wrong order.",
            total if total.samples == 0 => "No sound arrived.",
            _ if !picture.exists() => "No picture was written.",
            _ => return Ok(()),
        };
        Err(wrong.to_owned())
    }
}

/// What is told of a second, with names.
fn shown(second: &Second, reconnects: u32) -> [(&'static str, String); 5] {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let latency = second
        .latency
        .map(|span| format!("{} ms", span.as_millis()));
    let level = second.level.map(|level| format!("{level:.0} dB"));
    [
        (
            "bitrate",
            format!("{:.2} Mbit/s", second.bits_per_second / 1e6),
        ),
        ("frame rate", format!("{:.1}/s", second.frames_per_second)),
        ("glass to glass", or_dash(latency)),
        ("sound", or_dash(level)),
        ("reconnects", reconnects.to_string()),
    ]
}

/// The same for the page. Nothing in it comes from a peer, so nothing has to be escaped.
fn script(
    seconds: u64,
    live: bool,
    latency: Option<Duration>,
    shown: &[(&'static str, String)],
) -> String {
    let state = if live {
        "on the air"
    } else {
        "waiting for a publisher"
    };
    let latency = latency.map_or("null".to_owned(), |span| span.as_millis().to_string());
    let shown: Vec<_> = shown
        .iter()
        .map(|(name, value)| format!("{name:?}:{value:?}"))
        .collect();
    format!(
        "figures({{\"seconds\":{seconds},\"live\":{live},\"state\":\"{state}\",\
         \"latency\":{latency},\"shown\":{{{}}}}})\n",
        shown.join(",")
    )
}

/// What to paste where.
fn invitation(address: SocketAddr, port: u16) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => "<address of this machine>".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let server = format!("rtmp://{host}:{port}/{APPLICATION}");
    format!(
        "Waiting for a publisher on {server}/{STREAM}\n\n\
         OBS:     Settings, Stream, Service: Custom...\n\
         \x20          Server      {server}\n\
         \x20          Stream Key  {STREAM}\n\
         ffmpeg:  ffmpeg -re -i FILE -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p \\\n\
         \x20          -g 50 -c:a aac -f flv {server}/{STREAM}\n\
         ffmpeg:  ffmpeg -re -f lavfi -i testsrc2=s=1280x720:r=25 -f lavfi -i sine -c:v libx264 \\\n\
         \x20          -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 50 -c:a aac -f flv {server}/{STREAM}\n\n"
    )
}
