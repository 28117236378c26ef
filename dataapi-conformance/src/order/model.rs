//! What a group of dialogs does when its calls come one after the other.
//!
//! The store hands out dates and places in the ledger. The model does not predict them: it takes the first one that it
//! is shown, and refuses any other from then on.

use dataapi_core::{ConsentState, Date, Decision, EventHash, EventKind};

use super::call::{Answer, Call, Notice, Recorded, Refusal, Shown};

/// The state of all dialogs of a group, by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State(Vec<Life>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Life {
    Absent,
    /// A grant came first.
    Awaited {
        notice: Notice,
        date: Option<Date>,
        until: Option<Date>,
    },
    Held(Held),
    Gone(Mark),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    customer: u8,
    text: u8,
    date: Option<Date>,
    granted: Option<Mark>,
}

/// An event, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Mark {
    kind: EventKind,
    notice: Notice,
    date: Option<Date>,
    place: Option<(u16, u64, EventHash)>,
    not_before: Option<Date>,
}

impl State {
    /// No dialog of the group was ever stored.
    pub(super) fn new(dialogs: u8) -> Self {
        Self(vec![Life::Absent; usize::from(dialogs)])
    }

    /// Returns the state after a call with this answer; `None` if the call cannot have this answer here.
    pub(super) fn after(&self, call: &Call, answer: &Answer) -> Option<Self> {
        let mut next = self.clone();
        next.take(call, answer).then_some(next)
    }

    fn take(&mut self, call: &Call, answer: &Answer) -> bool {
        match call {
            Call::Insert { customer, dialog, text } => {
                match (self.life(*dialog).store(*customer, *text, None), answer) {
                    (_, Answer::Unknown) => true,
                    (Err(refusal), answer) => *answer == Answer::Refused(refusal),
                    (Ok(held), Answer::Received { date, consented }) => {
                        *consented == held.granted.is_some() && held.shows(*date)
                    }
                    _ => false,
                }
            }
            Call::Import { customer, text, dialogs, consented } => {
                let evidence = consented.then_some(Notice::Import);
                let mut store =
                    |dialog: &u8| self.life(*dialog).store(*customer, *text, evidence).map(|_| ());
                let expected: Vec<_> = dialogs.iter().map(&mut store).collect();
                matches!(answer, Answer::Unknown) || *answer == Answer::Imported(expected)
            }
            Call::Decide { dialog, decision, early, notice } => {
                self.life(*dialog).decide(*decision, Notice::Of(*notice), *early, answer)
            }
            Call::Status { dialog } => match (self.life(*dialog), answer) {
                (Life::Absent | Life::Awaited { .. }, answer) => is_not_found(answer),
                (Life::Held(held), Answer::Status { state, date }) => match &mut held.granted {
                    None => *state == ConsentState::Pending && held.shows(*date),
                    Some(mark) => *state == ConsentState::Granted && mark.is_of(*date),
                },
                (Life::Gone(mark), Answer::Status { state, date }) => {
                    *state == ConsentState::after(mark.kind) && mark.is_of(*date)
                }
                _ => false,
            },
            Call::Receipt { dialog } => match (self.life(*dialog).mark(), answer) {
                (None, answer) => is_not_found(answer),
                (Some(mark), Answer::Recorded(recorded)) => mark.is(recorded),
                _ => false,
            },
            Call::Read { customer, dialog } => match (self.life(*dialog), answer) {
                (Life::Held(held), answer) if held.customer == *customer => {
                    match (&held.granted, answer) {
                        (None, answer) => *answer == Answer::Refused(Refusal::ConsentRequired),
                        (Some(_), Answer::Dialog(shown)) => {
                            shown.dialog == *dialog && held.is(shown)
                        }
                        _ => false,
                    }
                }
                (_, answer) => is_not_found(answer),
            },
            Call::Page { customer, limit } => self.page(*limit, answer, |held| {
                held.granted.is_some() && customer.is_none_or(|customer| held.customer == customer)
            }),
            Call::Subject { customer, limit } => {
                self.page(*limit, answer, |held| held.customer == *customer)
            }
            Call::EraseDialog { customer, dialog } => {
                let erased = self.life(*dialog).erase(*customer);
                match answer {
                    Answer::Unknown => true,
                    Answer::Erased(count) => *count == 1 && erased,
                    answer => is_not_found(answer) && !erased,
                }
            }
            Call::EraseCustomer { customer } => {
                let mut erased = 0;
                for life in &mut self.0 {
                    erased += u64::from(life.erase(*customer));
                }
                *answer == Answer::Unknown || *answer == Answer::Erased(erased)
            }
        }
    }

    fn life(&mut self, dialog: u8) -> &mut Life {
        &mut self.0[usize::from(dialog)]
    }

    /// Whether a page can show these dialogs of those that match: the newest first, then the highest number.
    fn page(&mut self, limit: u8, answer: &Answer, matches: impl Fn(&Held) -> bool) -> bool {
        let Answer::Page { items, total, has_next } = answer else { return false };
        let mut count = 0;
        let mut last = None;
        for shown in items {
            let place = (shown.date, shown.dialog);
            if last.is_some_and(|last| last <= place) {
                return false;
            }
            last = Some(place);
            let life = self.0.get_mut(usize::from(shown.dialog));
            let Some(Life::Held(held)) = life else { return false };
            if !matches(held) || !held.is(shown) {
                return false;
            }
        }
        for (number, life) in (0..).zip(&self.0) {
            let Life::Held(held) = life else { continue };
            if !matches(held) {
                continue;
            }
            count += 1;
            let is_shown = items.iter().any(|shown| shown.dialog == number);
            if !is_shown && last.zip(held.date).is_some_and(|(last, date)| (date, number) > last) {
                return false;
            }
        }
        let limit = usize::from(limit);
        *total == count as u64 && items.len() == limit.min(count) && *has_next == (count > limit)
    }
}

impl Life {
    /// Stores a dialog. A grant that came first gives its evidence, or else an import.
    fn store(
        &mut self,
        customer: u8,
        text: u8,
        import: Option<Notice>,
    ) -> Result<&mut Held, Refusal> {
        let notice = match self {
            Self::Absent => import,
            Self::Awaited { notice, .. } => Some(*notice),
            Self::Held(held) => {
                let same_content = (held.customer, held.text) == (customer, text);
                return Err(Refusal::Exists { same_content });
            }
            Self::Gone(_) => return Err(Refusal::Gone),
        };
        let granted = notice.map(|notice| Mark::new(EventKind::Granted, notice, None));
        *self = Self::Held(Held { customer, text, date: None, granted });
        match self {
            Self::Held(held) => Ok(held),
            _ => Err(Refusal::Gone),
        }
    }

    fn decide(&mut self, decision: Decision, said: Notice, early: bool, answer: &Answer) -> bool {
        let is_unknown = *answer == Answer::Unknown;
        match (&mut *self, decision) {
            (Self::Absent, _) if !early => is_unknown || is_not_found(answer),
            (Self::Awaited { .. }, Decision::Granted) if !early => {
                is_unknown || is_not_found(answer)
            }
            (Self::Absent, Decision::Granted) => {
                *self = Self::Awaited { notice: said, date: None, until: None };
                is_unknown || self.is_awaited(answer)
            }
            (Self::Awaited { .. }, Decision::Granted) => is_unknown || self.is_awaited(answer),
            (Self::Absent | Self::Awaited { .. }, Decision::Withdrawn) => {
                let mut mark = Mark::new(EventKind::Withdrawn, said, None);
                let is_told = match answer {
                    Answer::Held { date, until } => early && until.is_none() && mark.is_of(*date),
                    Answer::Recorded(recorded) => !early && mark.is(recorded),
                    other => *other == Answer::Unknown,
                };
                *self = Self::Gone(mark);
                is_told
            }
            (Self::Held(held), Decision::Granted) => {
                let new = || Mark::new(EventKind::Granted, said, held.date);
                let mark = held.granted.get_or_insert_with(new);
                is_unknown || mark.is_told(answer)
            }
            (Self::Held(held), Decision::Withdrawn) => {
                let mut mark = Mark::new(EventKind::Withdrawn, said, held.latest());
                let is_told = is_unknown || mark.is_told(answer);
                *self = Self::Gone(mark);
                is_told
            }
            (Self::Gone(mark), Decision::Withdrawn) => is_unknown || mark.is_told(answer),
            (Self::Gone(_), Decision::Granted) => {
                is_unknown || *answer == Answer::Refused(Refusal::Conflict)
            }
        }
    }

    fn is_awaited(&mut self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Awaited { date, until, .. }, Answer::Held { date: told, until: Some(end) }) => {
                *date.get_or_insert(*told) == *told && *until.get_or_insert(*end) == *end
            }
            _ => false,
        }
    }

    /// Erases a dialog of this customer. Returns whether there was one.
    fn erase(&mut self, customer: u8) -> bool {
        match self {
            Self::Held(held) if held.customer == customer => {
                let not_before = held.latest();
                *self = Self::Gone(Mark::new(EventKind::Erased, Notice::None, not_before));
                true
            }
            _ => false,
        }
    }

    fn mark(&mut self) -> Option<&mut Mark> {
        match self {
            Self::Held(held) => held.granted.as_mut(),
            Self::Gone(mark) => Some(mark),
            _ => None,
        }
    }
}

impl Held {
    fn is(&mut self, shown: &Shown) -> bool {
        (self.customer, self.text) == (shown.customer, shown.text)
            && self.granted.is_some() == shown.consented
            && self.shows(shown.date)
    }

    /// Whether the dialog can have been received at this date.
    fn shows(&mut self, date: Date) -> bool {
        *self.date.get_or_insert(date) == date
            && match &mut self.granted {
                Some(mark) => {
                    mark.not_before = Some(date);
                    mark.date.is_none_or(|granted| granted >= date)
                }
                None => true,
            }
    }

    /// The latest date known.
    fn latest(&self) -> Option<Date> {
        self.granted.as_ref().and_then(|mark| mark.date.or(mark.not_before)).or(self.date)
    }
}

impl Mark {
    fn new(kind: EventKind, notice: Notice, not_before: Option<Date>) -> Self {
        Self { kind, notice, date: None, place: None, not_before }
    }

    fn is_of(&mut self, date: Date) -> bool {
        self.not_before.is_none_or(|earliest| earliest <= date)
            && *self.date.get_or_insert(date) == date
    }

    fn is(&mut self, recorded: &Recorded) -> bool {
        let Recorded { kind, date, notice, chain, position, hash } = *recorded;
        let place = (chain, position, hash);
        (self.kind, self.notice) == (kind, notice)
            && self.is_of(date)
            && *self.place.get_or_insert(place) == place
    }

    fn is_told(&mut self, answer: &Answer) -> bool {
        matches!(answer, Answer::Recorded(recorded) if self.is(recorded))
    }
}

fn is_not_found(answer: &Answer) -> bool {
    *answer == Answer::Refused(Refusal::NotFound)
}
