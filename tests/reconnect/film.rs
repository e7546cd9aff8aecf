// SPDX-License-Identifier: MPL-2.0

//! What is published and played here, and who publishes it.

use gst::prelude::*;

use crate::support::{
    amf0::Amf,
    flv_builder::FlvBuilder,
    flvdump::{self, Expect, Packet},
    pipeline::Pipeline,
    rtmp_peer::Peer,
};

/// Quick to come back, and always in the same time.
pub(crate) const QUICK: &str = "reconnect-delay=100 reconnect-max-delay=200 reconnect-jitter=0";

/// Some seconds of pictures and sound, a key frame each second.
pub(crate) fn film(seconds: u32) -> FlvBuilder {
    let mut film = FlvBuilder::new().metadata(640.0).headers();
    for second in 0..seconds {
        film = film.second(second * 1000);
    }
    film
}

/// A pipeline that publishes a film in real time.
pub(crate) fn publishing(film: &FlvBuilder, location: &str, options: &str) -> Pipeline {
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in ! rtmpsink name=sink location={location} {QUICK} {options}"
    ));
    pipeline.play();
    feed(&pipeline, film);
    pipeline
}

/// Gives the appsrc `in` of a pipeline the film and its end.
pub(crate) fn feed(pipeline: &Pipeline, film: &FlvBuilder) {
    let source = pipeline.element("in");
    // The base class gives the first buffer a time, which would have all of it sent at once.
    let (header, tags) = film.bytes().split_at(13);
    for bytes in [header, tags] {
        let buffer = gst::Buffer::from_slice(bytes.to_vec());
        let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    }
    let _ = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
}

/// Nothing of the film is missing in these pieces, nothing twice, each begins at a key frame.
#[track_caller]
pub(crate) fn assert_whole(film: &FlvBuilder, pieces: &[&[Packet]]) {
    let sent = flvdump::parse(film.bytes()).unwrap();
    let mut all = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let media = piece.iter().find(|packet| packet.is_media());
        let media = media.unwrap_or_else(|| panic!("piece {number} is empty"));
        assert!(media.keyframe || number == 0, "piece {number}: {media}");
        let headers = piece.iter().take_while(|packet| !packet.is_media());
        assert_eq!(headers.count(), 3, "piece {number}");
        let all_of_it = |packet: &&Packet| number == 0 || packet.is_media();
        all.extend(piece.iter().filter(all_of_it).cloned());
    }
    let expect = Expect {
        absolute: true,
        interleaving: true,
        ..Expect::MEDIA
    };
    flvdump::assert_same(&sent, &all, expect);
}

/// Asks the client to go on there.
pub(crate) fn ask_to_go(peer: &mut Peer, tc_url: Option<&str>) -> std::io::Result<()> {
    let mut info = vec![
        ("level", Amf::string("status")),
        (
            "code",
            Amf::string("NetConnection.Connect.ReconnectRequest"),
        ),
        ("description", Amf::string("the server is updated")),
    ];
    info.extend(tc_url.map(|url| ("tcUrl", Amf::string(url))));
    let name = Amf::string("onStatus");
    peer.send_command(0, &[name, Amf::Number(0.0), Amf::Null, Amf::object(&info)])
}

/// Waits for `rtmp-connection` with this state.
#[track_caller]
pub(crate) fn connection(pipeline: &Pipeline, state: &str) -> gst::Structure {
    let notice = pipeline.notice("rtmp-connection");
    assert_eq!(notice.get::<&str>("state"), Ok(state), "{notice}");
    notice
}
