//! What a client of a history asks, and what it is told, in the numbers of a small group of dialogs.

use dataapi_core::{
    ConsentState, CustomerId, Date, Decision, DialogId, Event, EventHash, EventKind, Evidence,
    Language, NewDialog, StoreError, Text,
};

/// The names of the customers and dialogs of one history. No call of a history concerns a dialog outside its group, so
/// each history can be checked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(u64);

impl Group {
    /// The group with this number. The numbers of one store must differ, and have at most eight digits.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }

    /// The customer with this number.
    pub fn customer(self, number: u8) -> CustomerId {
        parsed(&format!("g{}-c{number}", self.0))
    }

    /// The dialog with this number. Ids are in the order of their numbers.
    pub fn dialog(self, number: u8) -> DialogId {
        parsed(&format!("g{}-d{number:02}", self.0))
    }

    /// The language of all dialogs of the group and of no others, so that a page can show the whole group.
    pub fn language(self) -> Language {
        parsed(&format!("en-x-{}", self.0))
    }

    /// The text with this number.
    pub fn text(self, number: u8) -> Text {
        Text::parse(format!("{} words of group {}", number, self.0), Text::DEFAULT_MAX_BYTES)
            .expect("a short text")
    }

    /// A dialog to store.
    pub fn new_dialog(self, customer: u8, dialog: u8, text: u8) -> NewDialog {
        NewDialog {
            customer_id: self.customer(customer),
            dialog_id: self.dialog(dialog),
            language: self.language(),
            text: self.text(text),
        }
    }

    /// Returns a dialog that a store has shown in the numbers of the group, or an answer that no order explains.
    ///
    /// # Errors
    /// If the group has no such dialog.
    pub fn shown(
        self,
        ids: (&CustomerId, &DialogId),
        (language, text): (&Language, &Text),
        date: Date,
        consented: bool,
    ) -> Result<Shown, Answer> {
        let number = |name: &str, start: &str| name.strip_prefix(start)?.parse::<u8>().ok();
        let of_group = || {
            Some(Shown {
                customer: number(ids.0.as_str(), &format!("g{}-c", self.0))?,
                dialog: number(ids.1.as_str(), &format!("g{}-d", self.0))?,
                text: text.as_str().split(' ').next()?.parse().ok()?,
                date,
                consented,
            })
        };
        let is_whole = |shown: &Shown| {
            self.text(shown.text) == *text && self.language().as_str() == language.as_str()
        };
        of_group()
            .filter(is_whole)
            .ok_or_else(|| Answer::Strange("a dialog that nobody has stored".to_owned()))
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> T {
    name.parse().expect("a group has valid names")
}

/// One call of a client. Customers, dialogs and texts are numbers of the [`Group`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are numbers of the group, or named after the store's")]
pub enum Call {
    /// [`insert`](dataapi_core::Dialogs::insert).
    Insert { customer: u8, dialog: u8, text: u8 },
    /// [`import`](dataapi_core::Dialogs::import), without dates.
    Import { customer: u8, text: u8, dialogs: Vec<u8>, consented: bool },
    /// [`decide`](dataapi_core::Dialogs::decide), or [`decide_early`](dataapi_core::Dialogs::decide_early) if `early`.
    /// No two decisions of a history have the same notice, so a receipt tells which one it is of.
    Decide { dialog: u8, decision: Decision, early: bool, notice: u32 },
    /// The state in [`consent`](dataapi_core::Dialogs::consent).
    Status { dialog: u8 },
    /// The event in [`consent`](dataapi_core::Dialogs::consent): not found while the dialog is pending.
    Receipt { dialog: u8 },
    /// [`dialog`](dataapi_core::Dialogs::dialog).
    Read { customer: u8, dialog: u8 },
    /// [`query`](dataapi_core::Dialogs::query), by the language of the group, or by a customer.
    Page { customer: Option<u8>, limit: u8 },
    /// [`subject_data`](dataapi_core::Dialogs::subject_data).
    Subject { customer: u8, limit: u8 },
    /// [`erase_dialog`](dataapi_core::Dialogs::erase_dialog).
    EraseDialog { customer: u8, dialog: u8 },
    /// [`erase_customer`](dataapi_core::Dialogs::erase_customer).
    EraseCustomer { customer: u8 },
}

impl Call {
    /// Whether the call can change the store.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Status { .. }
                | Self::Receipt { .. }
                | Self::Read { .. }
                | Self::Page { .. }
                | Self::Subject { .. }
        )
    }

    /// The evidence of a decision with this notice.
    pub fn evidence(notice: u32) -> Evidence {
        Evidence::parse(Some(notice.to_string()), None, None).expect("a short notice")
    }
}

/// What a call was told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named after the store's")]
pub enum Answer {
    /// The call may have happened, or may still happen at any later time.
    Unknown,
    /// A dialog was stored.
    Received { date: Date, consented: bool },
    /// Each dialog of an import was stored or refused.
    Imported(Vec<Result<(), Refusal>>),
    /// The event of a decision, old or new.
    Recorded(Recorded),
    /// An early decision was noted.
    Held { date: Date, until: Option<Date> },
    /// The state of a dialog.
    Status { state: ConsentState, date: Date },
    /// A dialog.
    Dialog(Shown),
    /// A page.
    Page { items: Vec<Shown>, total: u64, has_next: bool },
    /// This many dialogs were erased.
    Erased(u64),
    /// The call was refused and changed nothing.
    Refused(Refusal),
    /// An answer that no order of calls can explain.
    Strange(String),
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the variants of StoreError")]
pub enum Refusal {
    Exists { same_content: bool },
    Gone,
    NotFound,
    Conflict,
    ConsentRequired,
}

/// A dialog as a page or a look-up shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named after the store's")]
pub struct Shown {
    pub customer: u8,
    pub dialog: u8,
    pub text: u8,
    pub date: Date,
    pub consented: bool,
}

/// An event as a receipt shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of Event")]
pub struct Recorded {
    pub kind: EventKind,
    pub date: Date,
    pub notice: Notice,
    pub chain: u16,
    pub position: u64,
    pub hash: EventHash,
}

/// The evidence of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// None, as an erasure has.
    None,
    /// That of a consented import.
    Import,
    /// That of the decision with this notice.
    Of(u32),
}

impl TryFrom<&Event> for Recorded {
    type Error = Answer;

    fn try_from(event: &Event) -> Result<Self, Answer> {
        let number = || match event.evidence.pieces() {
            [Some(notice), None, None] => notice.parse().ok().map(Notice::Of),
            _ => None,
        };
        let notice = if event.evidence == Evidence::default() {
            Notice::None
        } else if event.evidence == Evidence::of_import() {
            Notice::Import
        } else {
            number().ok_or_else(|| Answer::Strange("evidence that nobody gave".to_owned()))?
        };
        let Event { kind, date, chain, position, hash, .. } = *event;
        Ok(Self { kind, date, notice, chain, position, hash })
    }
}

impl Answer {
    /// What a call that failed was told. `None` if the failure says that nothing happened and leaves nothing to check.
    pub fn of_error(error: &StoreError) -> Option<Self> {
        Some(match Refusal::of(error) {
            Some(refusal) => Self::Refused(refusal),
            None => match error {
                StoreError::Overloaded { .. } => return None,
                StoreError::Unavailable { .. } | StoreError::Backend { .. } => Self::Unknown,
                other => Self::Strange(format!("{other:?}")),
            },
        })
    }
}

impl Refusal {
    /// The refusal that an error stands for.
    pub fn of(error: &StoreError) -> Option<Self> {
        Some(match error {
            StoreError::Exists { same_content } => Self::Exists { same_content: *same_content },
            StoreError::Gone => Self::Gone,
            StoreError::NotFound => Self::NotFound,
            StoreError::Conflict => Self::Conflict,
            StoreError::ConsentRequired => Self::ConsentRequired,
            _ => return None,
        })
    }
}
