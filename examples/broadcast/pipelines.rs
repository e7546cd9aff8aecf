// SPDX-License-Identifier: MPL-2.0

//! The two ends of the air.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use gst::{FlowError, FlowSuccess, PadProbeReturn, PadProbeType, prelude::*};

use crate::{common, figures::Figures, options::Options, page, stamp};

/// Where the receiver can be published to.
pub(crate) const APPLICATION: &str = "live";
/// The stream key, as encoders call it.
pub(crate) const STREAM: &str = "test";

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

/// Figures that the pipelines' threads share.
pub(crate) type Shared = Arc<Mutex<Figures>>;

/// A pipeline that publishes a live test picture with clocks, and a tone.
///
/// The sources are live, so what reaches the sink is due: `sync=false` saves the wait for the
/// latency of the pipeline, which the receiver waits for anyway.
pub(crate) fn publisher(port: u16, figures: &Shared) -> Result<gst::Pipeline, String> {
    let pipeline = common::pipeline(&format!(
        "videotestsrc name=camera is-live=true \
         ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=25/1 \
         ! clockoverlay time-format=%H:%M:%S font-desc=\"Sans 22\" \
         ! timeoverlay halignment=right font-desc=\"Sans 22\" \
         ! x264enc tune=zerolatency speed-preset=veryfast bitrate=1500 key-int-max=50 \
         ! queue ! mux. \
         audiotestsrc is-live=true freq=440 volume=0.1 samplesperbuffer=480 \
         ! audio/x-raw,rate=48000,channels=2 ! audioconvert ! avenc_aac ! queue ! mux. \
         flvmux name=mux streamable=true ! rtmpsink name=air sync=false"
    ))?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    let location = format!(
        "rtmp://{}:{port}/{APPLICATION}/{STREAM}",
        Ipv4Addr::LOCALHOST
    );
    by_name("air").set_property("location", location);
    let camera = by_name("camera").static_pad("src").expect("it has one");
    let figures = figures.clone();
    camera.add_probe(PadProbeType::BUFFER, move |_, info| {
        if let Some(picture) = info.buffer_mut() {
            let now = lock(&figures).now();
            if let Ok(mut map) = picture.make_mut().map_writable() {
                stamp_picture(&mut map, now);
            }
        }
        PadProbeReturn::Ok
    });
    Ok(pipeline)
}

/// Of I420, the brightness comes first; the two colour planes are a quarter of its size each.
fn stamp_picture(picture: &mut [u8], now: u32) {
    let (luma, colours) = picture.split_at_mut(WIDTH * HEIGHT);
    stamp::write(luma, WIDTH, HEIGHT, now);
    for plane in colours.chunks_mut(WIDTH * HEIGHT / 4) {
        let top = (HEIGHT / 16 - 2) * 16 / 2;
        for row in plane.chunks_mut(WIDTH / 2).skip(top).take(16) {
            row[..stamp::LEAST_WIDTH / 2].fill(128);
        }
    }
}

/// A pipeline that is the server, decodes what is published to it, and shows it to us.
///
/// The decoders are whatever is installed for what comes. The video sink waits for the time at
/// which a screen would show each picture, so that nothing of the latency is left out.
pub(crate) fn receiver(options: &Options, figures: &Shared) -> Result<gst::Pipeline, String> {
    // FLV holds whole access units; the demuxer does not say so, and the decoder asks for it where
    // no h264parse is installed.
    let pipeline = common::pipeline(
        "rtmpsrc name=air mode=listener keep-listening=true ! flvdemux name=demux \
         demux.video ! queue ! capssetter caps=\"video/x-h264,alignment=(string)au\" \
         ! decodebin ! tee name=decoded \
         decoded. ! queue ! videoconvert ! video/x-raw,format=GRAY8 \
         ! appsink name=pictures sync=true async=false \
         decoded. ! queue leaky=downstream max-size-buffers=1 ! videorate drop-only=true \
         ! video/x-raw,framerate=1/1 ! videoconvert ! pngenc compression-level=1 \
         ! appsink name=page sync=false async=false \
         demux.audio ! queue ! decodebin ! audioconvert ! audio/x-raw,format=S16LE \
         ! appsink name=sound sync=true async=false",
    )?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    let air = by_name("air");
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let address = options.listen.unwrap_or(free);
    air.set_property("host", address.ip().to_string());
    air.set_property("port", i32::from(address.port()));
    air.set_property("application", APPLICATION);
    air.set_property("stream", STREAM);
    air.set_property("latency", options.latency);

    let of_thread = figures.clone();
    each(&by_name("pictures"), move |sample| {
        let format = sample.caps()?.structure(0)?;
        let width = usize::try_from(format.get::<i32>("width").ok()?).ok()?;
        let height = usize::try_from(format.get::<i32>("height").ok()?).ok()?;
        let map = sample.buffer()?.map_readable().ok()?;
        // Rows begin at multiples of four bytes.
        lock(&of_thread).picture(&map, width.next_multiple_of(4), height);
        Some(())
    });
    let of_thread = figures.clone();
    each(&by_name("sound"), move |sample| {
        lock(&of_thread).sound(&sample.buffer()?.map_readable().ok()?);
        Some(())
    });
    let folder = options.folder.clone();
    each(&by_name("page"), move |sample| {
        let png = sample.buffer()?.map_readable().ok()?;
        page::replace(&folder, "frame.png", &png)
            .inspect_err(|error| eprintln!("\nThe picture cannot be written: {error}."))
            .ok()
    });
    Ok(pipeline)
}

/// Calls back with every sample that an appsink gets; `None` is an error of the stream.
fn each(sink: &gst::Element, seen: impl Fn(&gst::Sample) -> Option<()> + Send + 'static) {
    let sink = sink.downcast_ref::<gst_app::AppSink>();
    sink.expect("it is an appsink").set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| FlowError::Eos)?;
                seen(&sample).ok_or(FlowError::Error)?;
                Ok(FlowSuccess::Ok)
            })
            .build(),
    );
}

pub(crate) fn lock(figures: &Shared) -> std::sync::MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}
