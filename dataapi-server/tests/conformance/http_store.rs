//! A client that implements the store traits: each call is a request, and each answer becomes the result of the call.
//! Calls without a route go directly to the store behind the server, and so do calls with a reach: a reach comes from a
//! key, which the server's own tests cover.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dataapi_conformance::early::HOLD;
use dataapi_core::{
    Change, ConsentState, ConsentStatus, Cursor, CustomerId, Date, Decision, Dialog, DialogId,
    DialogStore, Dialogs, EarlyDecision, Event, EventKind, Evidence, EvidenceField, HeldDecision,
    HeldDialog, Keys, Language, Ledger, LedgerHead, Limit, NewDialog, Page, PageRequest, Positions,
    Reach, Receipt, Received, Start, Stats, StoreError, StoredDialog, SubjectRequest, Text, Upkeep,
    Window,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

pub(crate) struct HttpStore {
    client: Client,
    address: SocketAddr,
    /// A server on the same store that holds early decisions.
    holding: SocketAddr,
    behind: Arc<dyn DialogStore>,
    calls: AtomicUsize,
}

impl HttpStore {
    pub(crate) fn new(
        address: SocketAddr,
        holding: SocketAddr,
        behind: Arc<dyn DialogStore>,
    ) -> Self {
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { client, address, holding, behind, calls: AtomicUsize::new(0) }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, StoreError> {
        self.call_at(self.address, method, path, body).await
    }

    /// Both prefixes lead to the same routes, so the calls alternate between them.
    async fn call_at(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, StoreError> {
        let prefix = ["", "/v1"][self.calls.fetch_add(1, Ordering::Relaxed) % 2];
        let url = format!("http://{address}{prefix}{path}");
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.map_err(StoreError::backend)?;
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(response.headers()["cache-control"], "no-store");
        if response.status().is_success() {
            let status = response.status().as_u16();
            let location = header(&response, "location");
            let link = header(&response, "link");
            let body = response.json().await.map_err(StoreError::backend)?;
            return Ok(Answer { prefix, status, location, link, body });
        }
        Err(error_of(response).await)
    }

    async fn get(&self, path: &str) -> Result<Answer, StoreError> {
        self.call(Method::GET, path, None).await
    }
}

struct Answer {
    prefix: &'static str,
    status: u16,
    location: Option<String>,
    link: Option<String>,
    body: Value,
}

impl Answer {
    /// Returns the items of a page, its total, and the cursor of the next page.
    fn page<T>(&self, window: &Window, item: impl Fn(&Value) -> T) -> Result<Page<T>, StoreError> {
        assert_eq!(self.body["limit"], window.limit.get());
        assert_eq!(self.body["offset"], window.offset());
        let next = self.body["next"].as_str();
        assert_eq!(self.link, next.map(|next| format!("<{next}>; rel=\"next\"")));
        let next = next.map(|next| {
            assert!(next.starts_with(&format!("{}/", self.prefix)), "it keeps the prefix");
            assert!(self.prefix == "/v1" || !next.starts_with("/v1"), "it keeps the prefix");
            let (_, cursor) = next.split_once("cursor=").expect("a cursor");
            let cursor = cursor.split('&').next().expect("a cursor");
            let cursor = percent_decode_str(cursor).decode_utf8().expect("UTF-8");
            cursor.parse::<Cursor>()
        });
        let items = self.body["items"].as_array().expect("items");
        Ok(Page {
            items: items.iter().map(item).collect(),
            total: self.body.get("total").map(|total| total.as_u64().expect("a count")),
            next: next.transpose()?,
        })
    }
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned())
}

async fn error_of(response: Response) -> StoreError {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let retry_after = header(&response, "retry-after")
        .map(|seconds| Duration::from_secs(seconds.parse().expect("whole seconds")));
    let problem: Value = match response.json().await {
        Ok(problem) => problem,
        Err(error) => return StoreError::backend(error),
    };
    assert_eq!(problem["status"], status);
    let kind = problem["type"].as_str().expect("a type");
    match (status, kind.strip_prefix("urn:dataapi:problem:").expect("a type")) {
        (400, "bad-query") => {
            let field = problem["field"].as_str().expect("a field");
            assert_eq!(
                field, "language",
                "the server checks the other fields before it calls the store"
            );
            StoreError::Invalid { field: "language", reason: "as the server says".into() }
        }
        (403, "consent-required") => StoreError::ConsentRequired,
        (404, "not-found") => StoreError::NotFound,
        (409, "exists") => StoreError::Exists {
            same_content: problem["same_content"].as_bool().expect("whether it is the same"),
        },
        (409, "conflict") => StoreError::Conflict,
        (410, "gone") => StoreError::Gone,
        (503, "overloaded") => {
            StoreError::Overloaded { retry_after: retry_after.expect("when to retry") }
        }
        (503, "unavailable") => StoreError::Unavailable {
            reason: "as the server says".into(),
            retry_after: retry_after.expect("when to retry"),
        },
        _ => StoreError::backend(problem.to_string()),
    }
}

fn encode(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

fn dialog_path(customer_id: &CustomerId, dialog_id: &DialogId) -> String {
    format!("/data/{}/{}", encode(customer_id.as_str()), encode(dialog_id.as_str()))
}

fn window_query(window: &Window) -> String {
    let start = match &window.start {
        Start::Offset(offset) => format!("offset={offset}"),
        Start::After(cursor) => format!("cursor={cursor}"),
    };
    format!("{start}&limit={}&total={}", window.limit.get(), window.total)
}

fn string(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn date(value: &Value) -> Date {
    value.as_str().expect("a date").parse().expect("RFC 3339")
}

fn evidence(value: &Value) -> Evidence {
    let piece = |name| value.get(name).filter(|piece| !piece.is_null()).map(string);
    Evidence::parse(piece("notice"), piece("method"), piece("locale")).expect("evidence")
}

/// Parses an event: `entry` has its place in the ledger, `shown` its date and evidence.
fn event(entry: &Value, shown: &Value) -> Event {
    let kind = EventKind::ALL.into_iter().find(|kind| entry["kind"] == kind.name());
    Event {
        chain: entry["chain"].as_u64().map_or(0, |chain| chain.try_into().expect("a chain")),
        position: entry["position"].as_u64().expect("a position"),
        reference: string(&entry["ref"]).parse().expect("a reference"),
        kind: kind.expect("a kind"),
        date: date(&shown["date"]),
        evidence: evidence(shown),
        hides_evidence: shown.get("evidence_hidden").is_some(),
        hash: string(&entry["hash"]).parse().expect("a hash"),
    }
}

fn stored(item: &Value) -> StoredDialog {
    let dialog = NewDialog {
        customer_id: string(&item["customer_id"]).try_into().expect("an id"),
        dialog_id: string(&item["dialog_id"]).try_into().expect("an id"),
        language: string(&item["language"]).try_into().expect("a tag"),
        text: Text::parse(string(&item["text"]), Text::DEFAULT_MAX_BYTES).expect("a text"),
    };
    let date = date(&item["date"]);
    let consented = item["consent_received"].as_bool().expect("whether it is consented");
    StoredDialog::new(dialog, date, consented)
}

fn decision_body(decision: Decision, given: &Evidence) -> Value {
    let consent = decision == Decision::Granted;
    if *given == Evidence::default() {
        return json!(consent);
    }
    let piece =
        |piece: &Option<EvidenceField>| piece.as_ref().map(|piece| piece.as_str().to_owned());
    json!({
        "consent": consent, "notice": piece(&given.notice),
        "method": piece(&given.method), "locale": piece(&given.locale),
    })
}

fn decided(answer: &Value) -> Decision {
    match answer["consent"].as_str() {
        Some("granted") => Decision::Granted,
        Some("withdrawn") => Decision::Withdrawn,
        other => panic!("no decision: {other:?}"),
    }
}

fn receipt(answer: &Value) -> Result<Receipt, StoreError> {
    Ok(Receipt {
        dialog_id: string(&answer["dialog_id"]).try_into()?,
        decision: decided(answer),
        event: event(&answer["ledger"], answer),
    })
}

fn readable(item: &Value) -> Dialog {
    stored(item).readable().expect("only consented dialogs are shown")
}

#[async_trait]
impl Dialogs for HttpStore {
    dataapi_core::delegate!(import, is_within to behind);

    async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let path = dialog_path(&dialog.customer_id, &dialog.dialog_id);
        let body = json!({"text": dialog.text.as_str(), "language": dialog.language.as_str()});
        let answer = self.call(Method::POST, &path, Some(body)).await?;
        let date = date(&answer.body["date"]);
        let is_consented = answer.body["consent_received"].as_bool().expect("whether it is");
        let expected = json!({
            "customer_id": dialog.customer_id.as_str(), "dialog_id": dialog.dialog_id.as_str(),
            "text": dialog.text.as_str(), "language": dialog.language.as_str(),
            "consent_received": is_consented, "date": date.to_string(),
        });
        assert_eq!(answer.body, expected);
        assert!(answer.location.expect("a location").starts_with(answer.prefix));
        Ok(Received { date, is_consented })
    }

    async fn decide(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        given: Evidence,
    ) -> Result<Receipt, StoreError> {
        let path = format!("/consents/{}", encode(dialog_id.as_str()));
        let answer = self.call(Method::POST, &path, Some(decision_body(decision, &given))).await?;
        assert_eq!(answer.status, 200);
        receipt(&answer.body)
    }

    async fn decide_early(
        &self,
        dialog_id: DialogId,
        decision: Decision,
        given: Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, StoreError> {
        assert_eq!(hold_for, HOLD, "the server's own setting");
        let path = format!("/consents/{}", encode(dialog_id.as_str()));
        let body = Some(decision_body(decision, &given));
        let answer = self.call_at(self.holding, Method::POST, &path, body).await?;
        if answer.status == 200 {
            return Ok(EarlyDecision::Recorded(receipt(&answer.body)?));
        }
        assert_eq!(answer.status, 202);
        let held = answer.body;
        Ok(EarlyDecision::Held(HeldDecision {
            dialog_id: string(&held["dialog_id"]).try_into()?,
            decision: decided(&held),
            date: date(&held["date"]),
            until: Some(&held["held_until"]).filter(|until| !until.is_null()).map(date),
        }))
    }

    async fn consent(&self, dialog_id: &DialogId) -> Result<ConsentStatus, StoreError> {
        let path = format!("/consents/{}", encode(dialog_id.as_str()));
        loop {
            let answer = self.get(&path).await?.body;
            let dialog_id = string(&answer["dialog_id"]).try_into()?;
            let state = match answer["consent"].as_str() {
                Some("pending") => ConsentState::Pending,
                Some("granted") => ConsentState::Granted,
                Some("withdrawn") => ConsentState::Withdrawn,
                Some("erased") => ConsentState::Erased,
                other => panic!("no state: {other:?}"),
            };
            let date = date(&answer["date"]);
            if state == ConsentState::Pending {
                return Ok(ConsentStatus { dialog_id, state, date, event: None });
            }
            let receipt = self.get(&format!("{path}/receipt")).await?.body;
            // A decision could have come between the two requests.
            if receipt["event_state"] == answer["consent"] {
                let named = json!({
                    "date": receipt["event_time"], "notice": receipt.get("privacy_notice"),
                    "method": receipt.get("collection_method"), "locale": receipt.get("language"),
                });
                let event = event(&receipt["ledger"], &named);
                assert_eq!(receipt["record_id"], event.head().to_string());
                assert_eq!(event.date, date);
                return Ok(ConsentStatus { dialog_id, state, date, event: Some(event) });
            }
        }
    }

    async fn dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
        reach: &Reach,
    ) -> Result<Dialog, StoreError> {
        if !reach.is_all() {
            return self.behind.dialog(customer_id, dialog_id, reach).await;
        }
        Ok(readable(&self.get(&dialog_path(customer_id, dialog_id)).await?.body))
    }

    async fn query(&self, request: &PageRequest) -> Result<Page<Dialog>, StoreError> {
        let filter = request.filter();
        if !filter.reach().is_all() {
            return self.behind.query(request).await;
        }
        let conditions = [
            ("customerId", filter.customer_id().map(|customer| customer.as_str().to_owned())),
            ("from", filter.from().map(|date| date.to_string())),
            ("to", filter.to().map(|date| date.to_string())),
        ];
        let mut query = vec![window_query(request.window())];
        let languages = filter.language_ranges().iter();
        query.extend(languages.map(|range| format!("language={}", encode(&range.to_string()))));
        query.extend(
            conditions.into_iter().filter_map(|(name, value)| {
                value.map(|value| format!("{name}={}", encode(&value)))
            }),
        );
        let path = format!("/data/?{}", query.join("&"));
        self.get(&path).await?.page(request.window(), readable)
    }

    async fn subject_data(&self, request: &SubjectRequest) -> Result<Page<HeldDialog>, StoreError> {
        let subject = request.customer_id();
        let query = window_query(request.window());
        let path = format!("/customers/{}/data?{query}", encode(subject.as_str()));
        self.get(&path).await?.page(request.window(), |item| {
            stored(item).for_subject(subject).expect("only that customer's dialogs are shown")
        })
    }

    async fn erase_dialog(
        &self,
        customer_id: &CustomerId,
        dialog_id: &DialogId,
    ) -> Result<(), StoreError> {
        let path = dialog_path(customer_id, dialog_id);
        let answer = self.call(Method::DELETE, &path, None).await?;
        assert_eq!(answer.body, json!({"erased": 1}));
        Ok(())
    }

    async fn erase_customer(&self, customer_id: &CustomerId) -> Result<u64, StoreError> {
        let path = format!("/customers/{}", encode(customer_id.as_str()));
        let answer = self.call(Method::DELETE, &path, None).await?;
        Ok(answer.body["erased"].as_u64().expect("a count"))
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let answer = self.get("/stats").await?.body;
        let count = |name: &str| answer[name].as_u64().expect("a count");
        let by_language = answer["consented_by_language"].as_object().expect("counts");
        let by_language = by_language.iter().map(|(language, count)| {
            let language: Language = language.parse().expect("a tag");
            (language, count.as_u64().expect("a count"))
        });
        Ok(Stats {
            pending: count("pending"),
            consented: count("consented"),
            withdrawn: count("withdrawn"),
            erased: count("erased"),
            consented_by_language: by_language.collect(),
        })
    }
}

#[async_trait]
impl Ledger for HttpStore {
    async fn events(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Event>, StoreError> {
        if !reach.is_all() {
            return self.behind.events(after, limit, reach).await;
        }
        let answer = self.get(&format!("/changes?after={after}&limit={}", limit.get())).await?.body;
        let events = answer["events"].as_array().expect("events");
        Ok(events.iter().map(|shown| event(shown, shown)).collect())
    }

    async fn changes(
        &self,
        after: &Positions,
        limit: Limit,
        reach: &Reach,
    ) -> Result<Vec<Change>, StoreError> {
        if !reach.is_all() {
            return self.behind.changes(after, limit, reach).await;
        }
        let path = format!("/changes?after={after}&limit={}&dialogs=true", limit.get());
        let answer = self.get(&path).await?.body;
        let change = |shown: &Value| Change {
            event: event(shown, shown),
            dialog: shown.get("dialog").map(readable),
        };
        Ok(answer["events"].as_array().expect("events").iter().map(change).collect())
    }

    async fn ledger_head(&self) -> Result<LedgerHead, StoreError> {
        let head = self.get("/changes?limit=1").await?.body["head"].clone();
        Ok(LedgerHead {
            positions: string(&head["positions"]).parse().expect("positions"),
            hash: string(&head["hash"]).parse().expect("a hash"),
        })
    }
}

impl Keys for HttpStore {
    dataapi_core::delegate!(Keys to behind);
}

#[async_trait]
impl Upkeep for HttpStore {
    dataapi_core::delegate!(
        purge, purgeable, reference, revision, info, activity, scrub to behind
    );

    async fn ready(&self) -> Result<(), StoreError> {
        self.get("/health/ready").await.map(|_| ())
    }
}
