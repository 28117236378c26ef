//! The answers of a store as plain values, which can be compared and, unlike the domain's, printed.

use std::collections::BTreeMap;

use dataapi_core::{
    Change, ConsentStatus, Cursor, Dialog, EarlyDecision, Event, HeldDecision, HeldDialog,
    LedgerHead, Page, Receipt, Received, Stats, StoreError,
};

/// The answer to one call.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Done,
    Received {
        date: String,
        consented: bool,
    },
    Count(u64),
    Decided {
        dialog: String,
        receipt: String,
        event: Happened,
    },
    Held {
        dialog: String,
        decision: String,
        date: String,
        until: Option<String>,
    },
    Stands {
        dialog: String,
        state: String,
        date: String,
        event: Option<Happened>,
    },
    /// Sorted, because the order depends on the chains of a store.
    Changes(Vec<(Happened, Option<Row>)>),
    Head(u64),
    Dialog(Row),
    Page {
        items: Vec<Row>,
        total: Option<u64>,
        next: Option<String>,
    },
    Counts {
        pending: u64,
        consented: u64,
        withdrawn: u64,
        erased: u64,
        by: BTreeMap<String, u64>,
    },
    Imported(Vec<Answer>),
    NotFound,
    Exists {
        same_content: bool,
    },
    ConsentRequired,
    Gone,
    Conflict,
    Invalid {
        field: String,
    },
    /// An error that the reference model never returns.
    Failed(String),
}

/// A dialog. The case of its language is that of the answer.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    customer: String,
    dialog: String,
    language: String,
    text: String,
    date: String,
    consented: bool,
}

/// An event without its place, reference and hash. Stores have different keys and can erase the dialogs of one customer
/// in any order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Happened {
    kind: String,
    date: String,
    evidence: String,
}

impl From<Event> for Happened {
    fn from(Event { kind, date, evidence, hides_evidence, .. }: Event) -> Self {
        Self {
            kind: kind.name().to_owned(),
            date: date.to_string(),
            evidence: if hides_evidence { "hidden".into() } else { format!("{evidence:?}") },
        }
    }
}

impl Answer {
    /// Returns the cursor of the next page if this is a page.
    pub(super) fn next(&self) -> Option<&str> {
        match self {
            Self::Page { next, .. } => next.as_deref(),
            _ => None,
        }
    }
}

impl<T: Into<Answer>> From<Result<T, StoreError>> for Answer {
    fn from(result: Result<T, StoreError>) -> Self {
        result.map_or_else(Into::into, Into::into)
    }
}

impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::Exists { same_content } => Self::Exists { same_content },
            StoreError::ConsentRequired => Self::ConsentRequired,
            StoreError::Gone => Self::Gone,
            StoreError::Conflict => Self::Conflict,
            StoreError::Invalid { field, .. } => Self::Invalid { field: field.to_owned() },
            other => Self::Failed(format!("{other:?}")),
        }
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl From<Received> for Answer {
    fn from(Received { date, is_consented }: Received) -> Self {
        Self::Received { date: date.to_string(), consented: is_consented }
    }
}

impl From<u64> for Answer {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<Vec<Result<(), StoreError>>> for Answer {
    fn from(answers: Vec<Result<(), StoreError>>) -> Self {
        Self::Imported(answers.into_iter().map(Into::into).collect())
    }
}

impl From<Receipt> for Answer {
    fn from(Receipt { dialog_id, decision, event }: Receipt) -> Self {
        Self::Decided {
            dialog: dialog_id.as_str().to_owned(),
            receipt: format!("{decision:?}"),
            event: event.into(),
        }
    }
}

impl From<EarlyDecision> for Answer {
    fn from(early: EarlyDecision) -> Self {
        match early {
            EarlyDecision::Recorded(receipt) => receipt.into(),
            EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }) => Self::Held {
                dialog: dialog_id.as_str().to_owned(),
                decision: format!("{decision:?}"),
                date: date.to_string(),
                until: until.map(|until| until.to_string()),
            },
        }
    }
}

impl From<ConsentStatus> for Answer {
    fn from(ConsentStatus { dialog_id, state, date, event }: ConsentStatus) -> Self {
        Self::Stands {
            dialog: dialog_id.as_str().to_owned(),
            state: format!("{state:?}"),
            date: date.to_string(),
            event: event.map(Into::into),
        }
    }
}

impl From<Vec<Change>> for Answer {
    fn from(changes: Vec<Change>) -> Self {
        let change = |Change { event, dialog }| (event.into(), dialog.map(Into::into));
        let mut changes: Vec<_> = changes.into_iter().map(change).collect();
        changes.sort();
        Self::Changes(changes)
    }
}

impl From<LedgerHead> for Answer {
    fn from(head: LedgerHead) -> Self {
        Self::Head(head.positions.events())
    }
}

impl From<Dialog> for Answer {
    fn from(dialog: Dialog) -> Self {
        Self::Dialog(dialog.into())
    }
}

impl From<Dialog> for Row {
    fn from(dialog: Dialog) -> Self {
        Self {
            customer: dialog.customer_id().as_str().to_owned(),
            dialog: dialog.dialog_id().as_str().to_owned(),
            language: dialog.language().as_str().to_owned(),
            text: dialog.text().as_str().to_owned(),
            date: dialog.date().to_string(),
            consented: true,
        }
    }
}

impl From<HeldDialog> for Row {
    fn from(held: HeldDialog) -> Self {
        Self {
            customer: held.customer_id().as_str().to_owned(),
            dialog: held.dialog_id().as_str().to_owned(),
            language: held.language().as_str().to_owned(),
            text: held.text().as_str().to_owned(),
            date: held.date().to_string(),
            consented: held.consent_received(),
        }
    }
}

impl<T: Into<Row>> From<Page<T>> for Answer {
    fn from(Page { items, total, next }: Page<T>) -> Self {
        Self::Page {
            items: items.into_iter().map(Into::into).collect(),
            total,
            next: next.as_ref().map(Cursor::to_string),
        }
    }
}

impl From<Stats> for Answer {
    fn from(stats: Stats) -> Self {
        let by = stats.consented_by_language.into_iter();
        Self::Counts {
            pending: stats.pending,
            consented: stats.consented,
            withdrawn: stats.withdrawn,
            erased: stats.erased,
            by: by.map(|(tag, count)| (tag.as_str().to_ascii_lowercase(), count)).collect(),
        }
    }
}
