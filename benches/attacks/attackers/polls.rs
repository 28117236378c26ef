//! Clients that wait for changes: some hang up, and the keys of some end.

use std::time::Duration;

use dataapi::{Clock, Keys, NewKey, Roles, SystemClock, generate_key};
use dataapi_sqlite::{Options, SqliteStore};
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::pages::{ask, steadily};
use super::plan::Plan;
use crate::attack::{KeyEnd, Spec};
use crate::client::Session;
use crate::outcome::Outcome;

/// How long a key may still be used after it has ended.
const GRACE: Duration = Duration::from_secs(1);

/// How long the followers wait before their key ends, and no dialog comes after that.
const BEFORE: Duration = Duration::from_secs(3);
const SILENCE: Duration = Duration::from_secs(2);

const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of an answer with changes.
#[derive(Deserialize)]
struct Changes {
    events: Vec<Event>,
    next: String,
}

#[derive(Deserialize)]
struct Event {
    dialog: Option<serde::de::IgnoredAny>,
}

/// Waits for changes at a steady rate, and hangs up at once each time.
pub(super) async fn hang_up(plan: Plan, a_second: u32) -> Outcome<()> {
    let end = end_of_ledger(&plan).await?;
    steadily(&plan, a_second, async |plan| {
        let stream = ask(plan, &format!("/changes?wait=60s&after={end}"), "").await?;
        sleep(Duration::from_millis(5)).await;
        drop(stream);
        Ok(())
    })
    .await;
    Ok(())
}

/// Follows the ledger with a key that ends, while a chatbot goes on storing dialogs and grants.
pub(super) async fn follow(plan: Plan, spec: &Spec, clients: usize, end: KeyEnd) -> Outcome<()> {
    let position = end_of_ledger(&plan).await?;
    let store = SqliteStore::open(&spec.store, Options::default())?;
    // No two keys of a store have the same name.
    let name: dataapi::KeyName = format!("follower-{}", SystemClock.now().as_micros()).parse()?;
    let secret = generate_key()?;
    let begun = Instant::now();
    let expires = SystemClock.now().saturating_add(GRACE + BEFORE);
    store
        .create_key(NewKey {
            name: name.clone(),
            grant: "read".parse::<Roles>()?.into(),
            hash: secret.hash(),
            expires: matches!(end, KeyEnd::Expired).then_some(expires),
        })
        .await?;
    // The server reads the keys twice a second.
    sleep(GRACE).await;
    let followers: Vec<_> = (0..clients)
        .map(|_| {
            let plan = Plan { key: secret.to_string(), ..plan.clone() };
            tokio::spawn(follow_until_refused(plan, position.clone()))
        })
        .collect();
    let mut chatbot = plan.client.session().await?;
    write_until(&mut chatbot, spec, begun + BEFORE).await?;
    sleep_until(begun + GRACE + BEFORE).await;
    if matches!(end, KeyEnd::Revoked) {
        store.revoke_key(&name).await?;
    }
    let ended = Instant::now();
    sleep(SILENCE).await;
    write_until(&mut chatbot, spec, plan.end.max(ended + 2 * SILENCE)).await?;
    for follower in followers {
        let Follower { texts, refused } = follower.await?;
        if texts.is_empty() {
            plan.tally.broken("a follower got no text before its key ended".into());
        }
        let after = |at: Instant| at.saturating_duration_since(ended).as_secs_f64();
        match refused {
            Some(at) => plan.tally.note(format!("refused after {:.1} s", after(at))),
            None => plan.tally.broken("a follower was not refused until the end".into()),
        }
        let late = texts.iter().filter(|at| **at > ended + GRACE).count();
        if let Some(last) = texts.last().filter(|_| late > 0) {
            plan.tally.broken(format!(
                "a follower got {late} texts after its key had ended, the last {:.1} s after it",
                after(*last)
            ));
        }
    }
    Ok(())
}

/// When a follower got texts, and when it was refused.
struct Follower {
    texts: Vec<Instant>,
    refused: Option<Instant>,
}

async fn follow_until_refused(plan: Plan, mut position: String) -> Follower {
    let mut seen = Follower { texts: Vec::new(), refused: None };
    let following = async {
        loop {
            let mut session = plan.client.session().await?;
            let _open = plan.tally.opened();
            loop {
                let path = format!("/changes?dialogs=true&wait=60s&after={position}");
                let answer = session.get(&path, Some(&plan.key)).await;
                let Ok(answer) = answer else { break };
                plan.tally.answer(&answer);
                match answer.status {
                    200 => {}
                    401 | 403 => {
                        seen.refused = Some(Instant::now());
                        return Outcome::Ok(());
                    }
                    _ => break,
                }
                let changes: Changes = serde_json::from_slice(&answer.body)?;
                let texts = changes.events.iter().filter(|event| event.dialog.is_some());
                seen.texts.extend(texts.map(|_| Instant::now()));
                position = changes.next;
            }
            plan.tally.ended();
            sleep(Duration::from_millis(200)).await;
        }
    };
    let failed = match timeout_at(plan.end + 3 * SILENCE, following).await {
        Ok(Err(error)) => Some(error.to_string()),
        _ => None,
    };
    if let Some(error) = failed {
        plan.tally.broken(format!("a follower failed: {error}"));
    }
    seen
}

/// Stores a dialog and its grant twice a second.
async fn write_until(chatbot: &mut Session, spec: &Spec, end: Instant) -> Outcome<()> {
    while Instant::now() < end {
        let id = SystemClock.now().as_micros();
        let dialog = format!("/data/customer/follower-{id}");
        let body = r#"{"text":"a text that was consented to","language":"en"}"#.to_owned();
        let stored = timeout(PATIENCE, chatbot.post(&dialog, &spec.chatbot, body)).await??;
        let consent = format!("/consents/follower-{id}");
        let granted = chatbot.post(&consent, &spec.chatbot, "true".to_owned());
        let granted = timeout(PATIENCE, granted).await??;
        if (stored.status, granted.status) != (201, 200) {
            let (stored, granted) = (stored.status, granted.status);
            return Err(format!("the chatbot got {stored} and {granted}").into());
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// The position of the last event there is.
async fn end_of_ledger(plan: &Plan) -> Outcome<String> {
    const MOST_PAGES: usize = 100;
    let mut session = plan.client.session().await?;
    let mut position = "0".to_owned();
    for _ in 0..MOST_PAGES {
        let path = format!("/changes?limit=1000&after={position}");
        let answer = timeout(PATIENCE, session.get(&path, Some(&plan.key))).await??;
        let changes: Changes = serde_json::from_slice(&answer.body)?;
        if changes.events.is_empty() {
            return Ok(position);
        }
        position = changes.next;
    }
    Err("the ledger does not end".into())
}
