//! Makes the calls of a history over HTTP.

use std::time::Duration;

use dataapi_conformance::order::{Answer, Call, Group, Notice, Recorded, Refusal, Shown};
use dataapi_core::{ConsentState, Date, Decision, EventKind, Text};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// How long a client waits for an answer. A server that was halted for longer answers nobody, but can still do what it
/// was asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn client() -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

/// Asks the server at this URL. `None` if the answer says that nothing happened and has nothing to check.
pub(super) async fn ask(client: &Client, base: &str, group: Group, call: &Call) -> Option<Answer> {
    let Ok(response) = request(client, base, group, call).send().await else {
        return Some(Answer::Unknown);
    };
    let status = response.status().as_u16();
    let Ok(body) = response.json::<Value>().await else {
        return Some(Answer::Unknown);
    };
    if status >= 400 {
        return refusal(status, &body);
    }
    let answer = answer(group, call, status, &body);
    let strange = || Answer::Strange(format!("{status} {body}"));
    Some(answer.unwrap_or_else(|| Err(strange())).unwrap_or_else(|answer| answer))
}

fn request(client: &Client, base: &str, group: Group, call: &Call) -> RequestBuilder {
    let dialog = |dialog: &u8| group.dialog(*dialog).as_str().to_owned();
    let customer = |customer: &u8| group.customer(*customer).as_str().to_owned();
    match call {
        Call::Insert { customer: whose, dialog: id, text } => {
            let (text, language) = (group.text(*text), group.language());
            let body = json!({"text": text.as_str(), "language": language.as_str()});
            client.post(format!("{base}/data/{}/{}", customer(whose), dialog(id))).json(&body)
        }
        Call::Import { .. } => panic!("an import over HTTP is not one commit"),
        Call::Decide { dialog: id, decision, notice, .. } => {
            let consent = *decision == Decision::Granted;
            let body = json!({"consent": consent, "notice": notice.to_string()});
            client.post(format!("{base}/consents/{}", dialog(id))).json(&body)
        }
        Call::Status { dialog: id } => client.get(format!("{base}/consents/{}", dialog(id))),
        Call::Receipt { dialog: id } => {
            client.get(format!("{base}/consents/{}/receipt", dialog(id)))
        }
        Call::Read { customer: whose, dialog: id } => {
            client.get(format!("{base}/data/{}/{}", customer(whose), dialog(id)))
        }
        Call::Page { customer: None, limit } => {
            client.get(format!("{base}/data/?language={}&limit={limit}", group.language().as_str()))
        }
        Call::Page { customer: Some(whose), limit } => {
            client.get(format!("{base}/data/?customerId={}&limit={limit}", customer(whose)))
        }
        Call::Subject { customer: whose, limit } => {
            client.get(format!("{base}/customers/{}/data?limit={limit}", customer(whose)))
        }
        Call::EraseDialog { customer: whose, dialog: id } => {
            client.delete(format!("{base}/data/{}/{}", customer(whose), dialog(id)))
        }
        Call::EraseCustomer { customer: whose } => {
            client.delete(format!("{base}/customers/{}", customer(whose)))
        }
    }
}

fn refusal(status: u16, problem: &Value) -> Option<Answer> {
    let kind = problem["type"].as_str().and_then(|kind| kind.strip_prefix("urn:dataapi:problem:"));
    let refusal = match (status, kind.unwrap_or_default()) {
        (403, "consent-required") => Refusal::ConsentRequired,
        (404, "not-found") => Refusal::NotFound,
        (409, "conflict") => Refusal::Conflict,
        (409, "exists") => {
            Refusal::Exists { same_content: problem["same_content"].as_bool().unwrap_or_default() }
        }
        (410, "gone") => Refusal::Gone,
        (503, "overloaded") => return None,
        (503, _) => return Some(Answer::Unknown),
        _ => return Some(Answer::Strange(problem.to_string())),
    };
    Some(Answer::Refused(refusal))
}

/// `None` if the body has not the form that the API describes.
fn answer(group: Group, call: &Call, status: u16, body: &Value) -> Option<Result<Answer, Answer>> {
    Some(Ok(match call {
        Call::Insert { .. } | Call::Import { .. } => Answer::Received {
            date: date(&body["date"])?,
            consented: body["consent_received"].as_bool()?,
        },
        Call::Decide { .. } if status == 202 => Answer::Held {
            date: date(&body["date"])?,
            until: match &body["held_until"] {
                Value::Null => None,
                until => Some(date(until)?),
            },
        },
        Call::Decide { .. } => {
            Answer::Recorded(recorded(&body["ledger"], &body["date"], body, "notice", "method")?)
        }
        Call::Status { .. } => Answer::Status {
            state: match body["consent"].as_str()? {
                "pending" => ConsentState::Pending,
                "granted" => ConsentState::Granted,
                "withdrawn" => ConsentState::Withdrawn,
                "erased" => ConsentState::Erased,
                _ => return None,
            },
            date: date(&body["date"])?,
        },
        Call::Receipt { .. } => {
            let names = ("privacy_notice", "collection_method");
            Answer::Recorded(recorded(
                &body["ledger"],
                &body["event_time"],
                body,
                names.0,
                names.1,
            )?)
        }
        Call::Read { .. } => match shown(group, body)? {
            Ok(shown) => Answer::Dialog(shown),
            Err(strange) => return Some(Err(strange)),
        },
        Call::Page { .. } | Call::Subject { .. } => {
            let mut items = Vec::new();
            for item in body["items"].as_array()? {
                match shown(group, item)? {
                    Ok(shown) => items.push(shown),
                    Err(strange) => return Some(Err(strange)),
                }
            }
            let total = body["total"].as_u64()?;
            Answer::Page { items, total, has_next: !body["next"].is_null() }
        }
        Call::EraseDialog { .. } | Call::EraseCustomer { .. } => {
            Answer::Erased(body["erased"].as_u64()?)
        }
    }))
}

fn recorded(
    ledger: &Value,
    told: &Value,
    body: &Value,
    notice: &str,
    method: &str,
) -> Option<Recorded> {
    let given = |name: &str| body.get(name).filter(|value| !value.is_null());
    let notice = match (given(notice), given(method)) {
        (None, None) => Notice::None,
        (Some(notice), None) => Notice::Of(notice.as_str()?.parse().ok()?),
        _ => return None,
    };
    Some(Recorded {
        kind: EventKind::ALL.into_iter().find(|kind| ledger["kind"] == kind.name())?,
        date: date(told)?,
        notice,
        chain: match ledger.get("chain") {
            Some(chain) => chain.as_u64()?.try_into().ok()?,
            None => 0,
        },
        position: ledger["position"].as_u64()?,
        hash: ledger["hash"].as_str()?.parse().ok()?,
    })
}

fn shown(group: Group, item: &Value) -> Option<Result<Shown, Answer>> {
    let text = |name: &str| item[name].as_str().map(str::to_owned);
    let ids = (text("customer_id")?.parse().ok()?, text("dialog_id")?.parse().ok()?);
    let language = text("language")?.parse().ok()?;
    let words = Text::parse(text("text")?, Text::DEFAULT_MAX_BYTES).ok()?;
    let date = date(&item["date"])?;
    let consented = item["consent_received"].as_bool()?;
    Some(group.shown((&ids.0, &ids.1), (&language, &words), date, consented))
}

fn date(value: &Value) -> Option<Date> {
    value.as_str()?.parse().ok()
}
