// SPDX-License-Identifier: MPL-2.0

//! What is known of the stream and of who watches it, in numbers.

use std::sync::atomic::Ordering;

use super::{Station, lock, text};
use crate::{
    elements::webm::stats::{ClientStats, Stats},
    net::{fanout, porter::Listing},
    protocol::webm::Header,
};

impl Station {
    /// Figures as of now.
    pub(in crate::elements::webm) fn stats(&self) -> Stats {
        let figures = self.fanout().clients();
        let (on_air, media_type) = {
            let air = self.air();
            let header = air.header.as_ref();
            (
                header.is_some() && !air.ended,
                header.map_or_else(String::new, Header::media_type),
            )
        };
        let bitrate = lock(&self.meter).rate;
        let people = lock(&self.people);
        let sum = |of: fn(&fanout::ClientFigures) -> u64| figures.iter().map(of).sum::<u64>();
        Stats {
            path: self.settings.path.clone(),
            on_air,
            media_type,
            bitrate,
            bytes_received: self.received.load(Ordering::Relaxed),
            bytes_sent: people.bytes + sum(|f| f.bytes),
            clients: people.here.len() as u32,
            clients_peak: people.peak as u32,
            clients_total: people.next,
            refused: people.refused,
            dropped: people.dropped + sum(|f| f.dropped),
            per_client: figures
                .iter()
                .filter_map(|figures| {
                    let person = people.here.get(&figures.id)?;
                    Some(ClientStats {
                        id: figures.id,
                        address: text(person.address),
                        agent: person.agent.as_deref().unwrap_or_default().to_owned(),
                        bytes_sent: figures.bytes,
                        dropped: figures.dropped,
                        lag_bytes: figures.lag_bytes,
                        lag_time: figures.lag_time,
                        seconds: figures.since.elapsed().as_secs_f64(),
                    })
                })
                .collect(),
        }
    }

    /// For the page that lists all streams of the port.
    pub(in crate::elements::webm) fn listing(&self) -> Listing {
        let stats = self.stats();
        let text = if stats.on_air {
            let rate = stats.bitrate as f64 / 1e6;
            format!("on the air, {rate:.1} Mbit/s, {} watching", stats.clients)
        } else {
            "not on the air".to_owned()
        };
        Listing {
            path: self.settings.path.clone(),
            page: self.settings.player.then(|| self.settings.page_path()),
            text,
        }
    }
}
