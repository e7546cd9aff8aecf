// SPDX-License-Identifier: MPL-2.0

//! What this program does when the bench starts it again in a process of its own.

pub(crate) mod crowd;
mod flv;
mod loops;
mod many;
mod pipeline;
mod players;
pub(crate) mod stamp;
mod wcs;
pub(crate) mod webm;
mod wrappings;

use crate::{media, peer};

/// Runs the role named first. Results go to standard output, one `name=value` a word.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let (role, rest) = args.split_first().ok_or("no role")?;
    match role.as_str() {
        "cut-media" => media::cut(rest),
        "sink-server" => peer::sink::run(rest),
        "blast-server" => peer::blast::run(rest),
        "read-loop" => loops::read(rest),
        "write-loop" => loops::write(rest),
        "flv-mux" => flv::mux(rest),
        "flv-demux-tags" => flv::demux_tags(rest),
        "flv-demux-blocks" => flv::demux_blocks(rest),
        "flv-demux-file" => flv::demux_file(rest),
        "whose" => pipeline::whose(rest),
        "first-buffer" => pipeline::first_buffer(rest),
        "states" => pipeline::states(rest),
        "many-plays" => many::plays(rest),
        "many-sinks" => many::sinks(rest),
        "players-loop" => players::plain::run(rest),
        "players-sink" => players::servers::sink(rest),
        "players-load" => players::load::run(rest),
        "meter" => wrappings::meter::run(rest),
        "rc4" => wrappings::rc4::run(rest),
        "ffmpeg-play" => wrappings::ffmpeg::play(rest),
        "ffmpeg-publish" => wrappings::ffmpeg::publish(rest),
        "webm-loop" => webm::plain::run(rest),
        "webm-sink" => webm::servers::sink(rest),
        "webm-multisocketsink" => webm::servers::multisocketsink(rest),
        "webm-icecast-source" => webm::servers::icecast_source(rest),
        "webm-load" => webm::load::run(rest),
        "wcs-server" => wcs::server(rest),
        "wcs-start" => wcs::start(rest),
        "wcs-play" => wcs::first_frame(rest),
        "wcs-load" => wcs::load(rest),
        other => Err(format!("unknown role {other}")),
    }
}

/// A figure by its name from what a role printed.
pub(crate) fn figure(stdout: &str, name: &str) -> Option<f64> {
    let mut words = stdout.split_whitespace().filter_map(|w| w.split_once('='));
    words.find(|(key, _)| *key == name)?.1.parse().ok()
}
