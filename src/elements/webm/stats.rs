// SPDX-License-Identifier: MPL-2.0

//! Figures of a webmhttpsink, as a structure, as Prometheus reads them and as JSON.

use std::fmt::Write as _;

use gst::prelude::*;

/// See the property `stats`.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    pub(super) path: String,
    pub(super) on_air: bool,
    pub(super) media_type: String,
    pub(super) bitrate: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) clients: u32,
    pub(super) clients_peak: u32,
    pub(super) clients_total: u64,
    pub(super) refused: u64,
    pub(super) dropped: u64,
    pub(super) per_client: Vec<ClientStats>,
}

#[derive(Clone, Debug)]
pub(super) struct ClientStats {
    pub(super) id: u64,
    pub(super) address: String,
    pub(super) agent: String,
    pub(super) bytes_sent: u64,
    pub(super) dropped: u64,
    pub(super) lag_bytes: u64,
    pub(super) lag_time: u64,
    pub(super) seconds: f64,
}

impl Stats {
    pub(super) fn to_structure(&self) -> gst::Structure {
        let clients = self.per_client.iter().map(|client| {
            gst::Structure::builder("webm-client")
                .field("id", client.id)
                .field("address", &client.address)
                .field("user-agent", &client.agent)
                .field("bytes-sent", client.bytes_sent)
                .field("dropped", client.dropped)
                .field("lag-bytes", client.lag_bytes)
                .field("lag-time", client.lag_time)
                .field("seconds", client.seconds)
                .build()
                .to_send_value()
        });
        gst::Structure::builder("webm-stats")
            .field("on-air", self.on_air)
            .field("bitrate", self.bitrate)
            .field("bytes-received", self.bytes_received)
            .field("bytes-sent", self.bytes_sent)
            .field("clients", self.clients)
            .field("clients-peak", self.clients_peak)
            .field("clients-total", self.clients_total)
            .field("refused", self.refused)
            .field("dropped", self.dropped)
            .field("per-client", gst::Array::new(clients))
            .build()
    }

    /// The text format of Prometheus, version 0.0.4.
    pub(super) fn to_prometheus(&self) -> String {
        let mut text = String::new();
        let path = self.path.replace('\\', "\\\\").replace('"', "\\\"");
        for (name, kind, help, value) in [
            (
                "on_air",
                "gauge",
                "Whether a stream is on the air.",
                u64::from(self.on_air),
            ),
            (
                "clients",
                "gauge",
                "Clients that watch now.",
                self.clients.into(),
            ),
            (
                "clients_total",
                "counter",
                "Clients that have watched.",
                self.clients_total,
            ),
            (
                "refused_total",
                "counter",
                "Requests that were not let in.",
                self.refused,
            ),
            (
                "dropped_total",
                "counter",
                "Blocks that slow clients missed.",
                self.dropped,
            ),
            (
                "bitrate_bits",
                "gauge",
                "Bits a second of the stream.",
                self.bitrate,
            ),
            (
                "received_bytes_total",
                "counter",
                "Bytes from the pipeline.",
                self.bytes_received,
            ),
            (
                "sent_bytes_total",
                "counter",
                "Bytes to all clients.",
                self.bytes_sent,
            ),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "# HELP webmhttpsink_{name} {help}\n# TYPE webmhttpsink_{name} {kind}\n\
                 webmhttpsink_{name}{{path=\"{path}\"}} {value}\n"
            );
        }
        text
    }

    pub(super) fn to_json(&self) -> String {
        let clients = self.per_client.iter().map(|client| {
            serde_json::json!({
                "id": client.id,
                "address": client.address,
                "user_agent": client.agent,
                "bytes_sent": client.bytes_sent,
                "dropped": client.dropped,
                "lag_bytes": client.lag_bytes,
                "lag_ms": client.lag_time,
                "seconds": client.seconds,
            })
        });
        let json = serde_json::json!({
            "path": self.path,
            "on_air": self.on_air,
            "media_type": self.media_type,
            "bitrate": self.bitrate,
            "bytes_received": self.bytes_received,
            "bytes_sent": self.bytes_sent,
            "clients": self.clients,
            "clients_peak": self.clients_peak,
            "clients_total": self.clients_total,
            "refused": self.refused,
            "dropped": self.dropped,
            "per_client": clients.collect::<Vec<_>>(),
        });
        json.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        Stats {
            path: "/a\"b".to_owned(),
            on_air: true,
            clients: 1,
            per_client: vec![ClientStats {
                id: 7,
                address: "::1".to_owned(),
                agent: "\"<x>".to_owned(),
                bytes_sent: 5,
                dropped: 0,
                lag_bytes: 0,
                lag_time: 3,
                seconds: 1.5,
            }],
            ..Stats::default()
        }
    }

    #[test]
    fn prometheus_reads_it() {
        let text = stats().to_prometheus();
        assert!(
            text.contains("\nwebmhttpsink_clients{path=\"/a\\\"b\"} 1\n"),
            "{text}"
        );
        let names = text.lines().filter(|line| line.starts_with("# TYPE"));
        assert_eq!(names.count() * 3, text.lines().count());
    }

    #[test]
    fn json_reads_back() {
        let json: serde_json::Value = serde_json::from_str(&stats().to_json()).unwrap();
        assert_eq!(json["path"], "/a\"b");
        assert_eq!(json["per_client"][0]["user_agent"], "\"<x>");
        assert_eq!(json["per_client"][0]["lag_ms"], 3);
    }
}
