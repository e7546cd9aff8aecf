// SPDX-License-Identifier: MPL-2.0

//! A sink as server: opens and closes its [`Station`], and feeds it.

use std::{net::IpAddr, sync::Arc};

use gst::{prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{
    imp::{CAT, RtmpSink, Streaming, bytes_of, lock},
    station::{Reception, Station},
};
use crate::{
    elements::codecs,
    elements::rtmp::{
        callers,
        error::Failure,
        settings::{Role, Settings},
        stats::{State, Stats},
    },
    net::porter::{self, Claim},
    protocol::flv::Headers,
};

/// How often to look whether upstream has fallen silent.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(250);

/// From PAUSED to READY.
#[derive(Debug)]
pub(super) struct OnAir {
    pub(super) station: Arc<Station>,
    /// Dropped first: nobody comes any more.
    claim: Claim,
    glance: gst::PeriodicClockId,
}

impl RtmpSink {
    /// Whether a listener can open without waiting for a name to be looked up.
    pub(super) fn opens_at_once(settings: &Settings) -> bool {
        let host = settings.host.trim_matches(['[', ']']);
        // The name of this machine itself is in no need of a server.
        host.parse::<IpAddr>().is_ok() || host == "localhost"
    }

    /// Opens the port.
    pub(super) fn listen(&self) -> Result<Arc<Station>, Option<Failure>> {
        let settings = self.with_settings(|settings| settings.clone());
        let no_resources = |error: std::io::Error| {
            Failure::settings(&format!("There are no resources left: {error}."))
        };
        let obj = self.obj();
        let element = obj.upcast_ref::<gst::Element>();
        let station = Station::open(settings.clone(), element).map_err(no_resources)?;
        let host = Box::new(Reception(Arc::downgrade(&station)));
        let codecs = codecs::ask(obj.sink_pad());
        let wanted = settings.wanted(Role::Sink, codecs.as_ref(), host, self.interrupt())?;
        let serves = Arc::downgrade(&station);
        let claim = porter::claim_play(wanted, settings.chunk_size, move |arrival| {
            if let Some(station) = serves.upgrade() {
                station.serve(arrival);
            }
        })
        .map_err(|error| Failure::claim(Role::Sink, &error))?;
        let address = claim.local_addr();
        gst::info!(CAT, imp = self, "Listening on {address}");
        let looks = Arc::downgrade(&station);
        let clock = gst::SystemClock::obtain();
        let begin = clock.time() + GLANCE;
        let glance = clock.new_periodic_id(begin, GLANCE);
        // Without it nobody is told of silence, and that is all.
        let _ = glance.wait_async(move |_, _, _| {
            if let Some(station) = looks.upgrade() {
                station.look_for_silence();
            }
        });
        *lock(self.on_air()) = Some(OnAir {
            station: station.clone(),
            claim,
            glance,
        });
        callers::listening(element, address);
        Ok(station)
    }

    /// Closes it. Players are told that the stream is over.
    pub(super) fn hang_up(&self) {
        let on_air = lock(self.on_air()).take();
        if let Some(OnAir {
            station,
            claim,
            glance,
        }) = on_air
        {
            glance.unschedule();
            drop(claim);
            station.shut();
        }
    }

    pub(super) fn station(&self) -> Option<Arc<Station>> {
        lock(self.on_air()).as_ref().map(|air| air.station.clone())
    }

    /// The station, opened now if it was not before.
    fn open_station(&self) -> Result<Arc<Station>, gst::FlowError> {
        if let Some(station) = self.station() {
            return Ok(station);
        }
        let obj = self.obj();
        self.pauses.pass(obj.upcast_ref())?;
        loop {
            match self.listen() {
                Ok(station) => return Ok(station),
                Err(None) => self.pauses.wait_out(obj.upcast_ref())?,
                Err(Some(failure)) => {
                    self.fail(&failure);
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }

    /// Sends a buffer to the players there are.
    pub(super) fn broadcast(
        &self,
        streaming: &mut Streaming,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let station = self.open_station()?;
        if streaming.waits {
            let obj = self.obj();
            self.pauses.pass(obj.upcast_ref())?;
            while !station.wait_for_player() {
                self.pauses.wait_out(obj.upcast_ref())?;
            }
            streaming.waits = false;
        }
        let timed = buffer.dts_or_pts().is_some();
        let bytes = bytes_of(buffer).ok_or_else(|| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ["Cannot map a buffer."]);
            gst::FlowError::Error
        })?;
        let outlet = &mut streaming.outlet;
        outlet.push(bytes);
        let mut discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        while let Some(tag) = outlet.next().map_err(|error| self.flv_failed(&error))? {
            // A publisher that follows another begins with its headers. A queue that drops media marks
            // what is behind the gap as well, and that is not another stream.
            if std::mem::take(&mut discont) && Headers::default().keep(&tag) {
                station.begin_anew();
            }
            for header in outlet.due_headers() {
                station.send(&header);
            }
            if !timed {
                self.wait_until_due(outlet, &tag)?;
            }
            station.send(&tag);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// What a listener's `stats` say.
    pub(super) fn listener_stats(&self, station: &Station) -> Stats {
        let sum = station.sum();
        Stats {
            state: match sum.callers.is_empty() {
                true => State::Listening,
                false => State::Streaming,
            },
            out_bytes_total: sum.bytes,
            tags: sum.tags,
            dropped_tags: sum.dropped,
            media_timestamp: sum
                .media_timestamp
                .map(|ms| std::time::Duration::from_millis(ms.into())),
            callers: sum.callers,
            ..Stats::default()
        }
    }
}
