//! Makes the calls of a history on a store.

use dataapi_core::{
    Dialog, DialogStore, EarlyDecision, Filter, HeldDialog, ImportedDialog, Limit, PageRequest,
    Reach, Receipt, StoreError, SubjectRequest, Window,
};

use crate::early::HOLD;

use super::call::{Answer, Call, Group, Recorded, Refusal, Shown};

/// Makes a call and returns what the store answers. `None` if the store says that nothing happened and the answer has
/// nothing to check.
pub async fn ask(store: &dyn DialogStore, group: Group, call: &Call) -> Option<Answer> {
    match asked(store, group, call).await {
        Ok(answer) | Err(Failure::Answer(answer)) => Some(answer),
        Err(Failure::Error(error)) => Answer::of_error(&error),
    }
}

enum Failure {
    Answer(Answer),
    Error(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl From<Answer> for Failure {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

async fn asked(store: &dyn DialogStore, group: Group, call: &Call) -> Result<Answer, Failure> {
    Ok(match call {
        Call::Insert { customer, dialog, text } => {
            let received = store.insert(group.new_dialog(*customer, *dialog, *text)).await?;
            Answer::Received { date: received.date, consented: received.is_consented }
        }
        Call::Import { customer, text, dialogs, consented } => {
            let imported = |dialog: &u8| ImportedDialog {
                dialog: group.new_dialog(*customer, *dialog, *text),
                date: None,
                consented: *consented,
            };
            let answers = store.import(dialogs.iter().map(imported).collect()).await?;
            let refusal = |error| Refusal::of(&error).ok_or(error);
            let answer = |answer: Result<(), StoreError>| match answer.map_err(refusal) {
                Ok(()) => Ok(Ok(())),
                Err(Ok(refusal)) => Ok(Err(refusal)),
                Err(Err(error)) => Err(error),
            };
            Answer::Imported(answers.into_iter().map(answer).collect::<Result<_, _>>()?)
        }
        Call::Decide { dialog, decision, early, notice } => {
            let (id, evidence) = (group.dialog(*dialog), Call::evidence(*notice));
            let receipt = if *early {
                match store.decide_early(id.clone(), *decision, evidence, HOLD).await? {
                    EarlyDecision::Held(held)
                        if (&held.dialog_id, held.decision) == (&id, *decision) =>
                    {
                        return Ok(Answer::Held { date: held.date, until: held.until });
                    }
                    EarlyDecision::Held(_) => return Ok(strange("an answer to another decision")),
                    EarlyDecision::Recorded(receipt) => receipt,
                }
            } else {
                store.decide(id.clone(), *decision, evidence).await?
            };
            let Receipt { dialog_id, decision: decided, event } = receipt;
            if dialog_id != id || decided != *decision || event.reference != store.reference(&id) {
                return Ok(strange("the receipt of another decision"));
            }
            Answer::Recorded(Recorded::try_from(&event)?)
        }
        Call::Status { dialog } => {
            let status = store.consent(&group.dialog(*dialog)).await?;
            Answer::Status { state: status.state, date: status.date }
        }
        Call::Receipt { dialog } => match store.consent(&group.dialog(*dialog)).await?.event {
            Some(event) => Answer::Recorded(Recorded::try_from(&event)?),
            None => Answer::Refused(Refusal::NotFound),
        },
        Call::Read { customer, dialog } => {
            let ids = (group.customer(*customer), group.dialog(*dialog));
            Answer::Dialog(readable(
                group,
                &store.dialog(&ids.0, &ids.1, &Reach::default()).await?,
            )?)
        }
        Call::Page { customer, limit } => {
            let filter = match customer {
                Some(customer) => Filter::default().customer(group.customer(*customer)),
                None => Filter::default().language(group.language()),
            };
            let request = PageRequest::new(filter, window(*limit)).map_err(StoreError::from)?;
            let page = store.query(&request).await?;
            let items = page.items.iter().map(|item| readable(group, item));
            let items = items.collect::<Result<_, _>>()?;
            Answer::Page {
                items,
                total: page.total.unwrap_or(u64::MAX),
                has_next: page.next.is_some(),
            }
        }
        Call::Subject { customer, limit } => {
            let request = SubjectRequest::new(group.customer(*customer), window(*limit));
            let page = store.subject_data(&request.map_err(StoreError::from)?).await?;
            let items = page.items.iter().map(|item| held(group, item));
            let items = items.collect::<Result<_, _>>()?;
            Answer::Page {
                items,
                total: page.total.unwrap_or(u64::MAX),
                has_next: page.next.is_some(),
            }
        }
        Call::EraseDialog { customer, dialog } => {
            store.erase_dialog(&group.customer(*customer), &group.dialog(*dialog)).await?;
            Answer::Erased(1)
        }
        Call::EraseCustomer { customer } => {
            Answer::Erased(store.erase_customer(&group.customer(*customer)).await?)
        }
    })
}

fn readable(group: Group, dialog: &Dialog) -> Result<Shown, Answer> {
    let ids = (dialog.customer_id(), dialog.dialog_id());
    group.shown(ids, (dialog.language(), dialog.text()), dialog.date(), true)
}

fn held(group: Group, dialog: &HeldDialog) -> Result<Shown, Answer> {
    let ids = (dialog.customer_id(), dialog.dialog_id());
    let content = (dialog.language(), dialog.text());
    group.shown(ids, content, dialog.date(), dialog.consent_received())
}

fn window(limit: u8) -> Window {
    Window { limit: Limit::new(limit.into()).unwrap_or(Limit::MAX), ..Window::default() }
}

fn strange(what: &str) -> Answer {
    Answer::Strange(what.to_owned())
}
