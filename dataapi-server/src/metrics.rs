//! Metrics: counters of the server itself, and a snapshot of the store at each scrape.
//!
//! Labels are route templates, methods, status codes and states. Nothing that a client sends becomes a label.

use std::fmt;
use std::time::Duration;

use dataapi_core::{Activity, BatchSizes, Purge, Stats};
use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The buckets in seconds: from a quarter of a millisecond, the time of a single durable insert, to ten seconds.
const LATENCIES: [f64; 15] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// The label of a request without a route.
pub(crate) const NO_ROUTE: &str = "none";

/// The formats in which metrics can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// Prometheus's text format 0.0.4, which every collector reads.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// The format that the client prefers; [`Exposition::Text`] unless it names OpenMetrics.
    pub(crate) fn wanted(headers: &HeaderMap) -> Self {
        let [mut open_metrics, mut text] = [0.0, 0.0];
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, None);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match &*name.trim().to_ascii_lowercase() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = Some(value.trim().trim_matches('"')),
                    _ => {}
                }
            }
            match (&*kind, version) {
                ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                    open_metrics = quality.max(open_metrics);
                }
                ("text/plain", None | Some("0.0.4")) => text = quality.max(text),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The content type of the format.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The metrics of the server itself.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    /// One for each route, by its index, so that a request needs no look-up.
    latencies: Vec<Histogram>,
    in_flight: Gauge,
    purged: Family<StateLabel, Counter>,
    pub(crate) access_log: AccessLogMetrics,
    pub(crate) connections: ConnectionMetrics,
}

/// The metrics of the access log.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessLogMetrics {
    pub(crate) lost: Counter,
    /// 1 while lines are lost, otherwise 0.
    pub(crate) failing: Gauge,
}

/// The metrics of connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionMetrics {
    pub(crate) open: Gauge,
    pub(crate) closed_for_others: Counter,
    pub(crate) refused_address: Counter,
    pub(crate) without_room: Counter,
    pub(crate) idle: Counter,
    pub(crate) slow: Counter,
}

impl ConnectionMetrics {
    fn register(registry: &mut Registry) -> Self {
        let closed: Family<ReasonLabel, Counter> = Family::default();
        // From the beginning, so that the first one of a kind is seen to grow.
        let because = |reason| closed.get_or_create_owned(&ReasonLabel { reason });
        let metrics = Self {
            open: Gauge::default(),
            closed_for_others: because("place_needed"),
            refused_address: because("address_limit"),
            without_room: because("no_room"),
            idle: because("idle"),
            slow: because("slow"),
        };
        registry.register("connections", "Open connections", metrics.open.clone());
        registry.register(
            "connections_closed",
            "Connections that the server refused or closed by itself, by reason",
            closed,
        );
        metrics
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

impl Metrics {
    /// Creates the metrics for routes with these templates.
    pub(crate) fn new(routes: impl Iterator<Item = &'static str>) -> Self {
        let requests = Family::default();
        let latency: Family<RouteLabel, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCIES));
        let in_flight = Gauge::default();
        let purged = Family::default();
        let latencies =
            routes.map(|route| latency.get_or_create_owned(&RouteLabel { route })).collect();

        let mut registry = Registry::with_prefix("dataapi");
        registry.register(
            "http_requests",
            "Answered requests by route, method and status",
            Family::clone(&requests),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to its answer, by route",
            Unit::Seconds,
            latency,
        );
        registry.register(
            "http_requests_in_flight",
            "Requests that are being answered",
            in_flight.clone(),
        );
        registry.register(
            "purged_dialogs",
            "Dialogs by state, and tombstones, that retention purged",
            Family::clone(&purged),
        );
        let access_log = AccessLogMetrics::default();
        registry.register(
            "access_log_lost_lines",
            "Lines of the access log that could not be written",
            access_log.lost.clone(),
        );
        registry.register(
            "access_log_failing",
            "1 while lines of the access log are lost, otherwise 0",
            access_log.failing.clone(),
        );
        let connections = ConnectionMetrics::register(&mut registry);
        Self { registry, requests, latencies, in_flight, purged, access_log, connections }
    }

    /// Counts a request as in flight until the answer is ready or the client is gone.
    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts an answer.
    pub(crate) fn answered(
        &self,
        index: Option<usize>,
        route: &'static str,
        method: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        if let Some(latency) = index.and_then(|index| self.latencies.get(index)) {
            latency.observe(took.as_secs_f64());
        }
        let labels = RequestLabels { route, method, status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts dialogs or tombstones that retention purged.
    pub(crate) fn purged(&self, which: Purge, dialogs: u64) {
        let state = match which {
            Purge::Pending => "pending",
            Purge::Consented => "consented",
            Purge::Tombstones => "tombstone",
        };
        self.purged.get_or_create(&StateLabel { state }).inc_by(dialogs);
    }

    /// Writes all metrics, including the store's.
    pub(crate) fn render(
        &self,
        store: StoreSnapshot,
        format: Exposition,
    ) -> Result<String, fmt::Error> {
        let mut snapshot = Registry::with_prefix("dataapi");
        snapshot.register_collector(Box::new(store));
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &snapshot)?;
        encode_eof(&mut text)?;
        Ok(match format {
            Exposition::Text => in_text_format(&text),
            Exposition::OpenMetrics => text,
        })
    }
}

/// Rewrites OpenMetrics in the text format 0.0.4. The samples are the same. There, a counter is described under the name
/// of its samples, which ends in `_total`, and there are neither units nor an end.
fn in_text_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(description) = line.strip_prefix("# ") else {
            text.extend([line, "\n"]);
            continue;
        };
        match description.split_once(' ').unwrap_or((description, "")) {
            ("HELP", described) => help = described.split_once(' '),
            ("TYPE", described) => {
                let (name, kind) = described.split_once(' ').unwrap_or((described, "unknown"));
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "gauge" | "histogram" | "summary" => ("", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", "untyped"),
                };
                if let Some((_, help)) = help.take_if(|(helped, _)| *helped == name) {
                    text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
                }
                text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            _ => {}
        }
    }
    text
}

/// Returns the label of a method. Clients can send any method, so unknown ones share one label.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct InFlight<'m>(&'m Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The state of the store at a scrape.
#[derive(Debug)]
pub(crate) struct StoreSnapshot {
    /// `None` if the store could not count.
    pub(crate) stats: Option<Stats>,
    pub(crate) activity: Activity,
}

impl Collector for StoreSnapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(stats) = &self.stats {
            let mut dialogs = encoder.encode_descriptor(
                "dialogs",
                "Dialogs by state; withdrawn and erased ones are tombstones",
                None,
                MetricType::Gauge,
            )?;
            for (state, count) in [
                ("pending", stats.pending),
                ("consented", stats.consented),
                ("withdrawn", stats.withdrawn),
                ("erased", stats.erased),
            ] {
                gauge(count).encode(dialogs.encode_family(&StateLabel { state })?)?;
            }
        }
        for (name, help, value) in [
            (
                "commit_queue_depth",
                "Write requests that wait for the next commit",
                self.activity.queued,
            ),
            (
                "commit_queue_capacity",
                "Write requests that can wait before further ones are refused; 0 without a queue",
                self.activity.queue_capacity,
            ),
        ] {
            let value = gauge(value);
            value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)?;
        }
        encode_batch_sizes(&self.activity.commits, &mut encoder)?;
        let unscrubbed = self.activity.unscrubbed.unwrap_or_default().as_secs_f64();
        ConstGauge::new(unscrubbed).encode(encoder.encode_descriptor(
            "oldest_unscrubbed_erasure",
            "Age of the oldest erasure whose bytes are still in the files of the store; 0 for none",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?)
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

#[allow(clippy::cast_precision_loss, reason = "the exposition format has only floats")]
fn encode_batch_sizes(sizes: &BatchSizes, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let bounds = BatchSizes::BOUNDS.iter().map(|bound| *bound as f64).chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(sizes.counts).collect();
    encoder
        .encode_descriptor(
            "commit_batch_size",
            "Write requests in one commit",
            None,
            MetricType::Histogram,
        )?
        .encode_histogram::<NoLabelSet>(sizes.sum as f64, sizes.counts.iter().sum(), &buckets, None)
}
