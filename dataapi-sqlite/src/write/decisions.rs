//! Records decisions, including early ones.

use std::time::Duration;

use dataapi_core::consent::rules::{self, Decided, DecidedEarly, EarlyGrant, Record};
use dataapi_core::{
    Date, Decision, DialogId, DialogRef, EarlyDecision, Event, Evidence, HeldDecision, Receipt,
};

use crate::error::SqliteError;
use crate::rows::early_grants;
use crate::write::transaction::Transaction;

impl Transaction<'_> {
    /// Records a decision on a received dialog.
    pub(crate) fn decide(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
    ) -> Result<Receipt, SqliteError> {
        let now = self.now();
        let reference = self.key.reference(dialog_id);
        let (record, seq) = self.record(dialog_id, &reference)?;
        let decided = rules::decide(&record, decision, evidence, now)?;
        let event = self.record_decision(decided, reference, &record, seq, now)?;
        Ok(Receipt { dialog_id: dialog_id.clone(), decision, event })
    }

    /// Records a decision on a dialog that might not have been received yet.
    pub(crate) fn decide_early(
        &mut self,
        dialog_id: &DialogId,
        decision: Decision,
        evidence: &Evidence,
        hold_for: Duration,
    ) -> Result<EarlyDecision, SqliteError> {
        let now = self.now();
        let reference = self.key.reference(dialog_id);
        let (record, seq) = self.record(dialog_id, &reference)?;
        let decided = rules::decide_early(&record, decision, evidence, hold_for, now)?;
        let dialog_id = dialog_id.clone();
        let (date, until) = match decided {
            DecidedEarly::Recorded(decided) => {
                let event = self.record_decision(decided, reference, &record, seq, now)?;
                return Ok(EarlyDecision::Recorded(Receipt { dialog_id, decision, event }));
            }
            DecidedEarly::Blocked(new) => {
                (self.apply(new, reference, &record, seq, now)?.date, None)
            }
            DecidedEarly::Held(early) => {
                self.hold(&reference, &early, now)?;
                (early.date, Some(early.until))
            }
        };
        Ok(EarlyDecision::Held(HeldDecision { dialog_id, decision, date, until }))
    }

    fn record_decision(
        &mut self,
        decided: Decided,
        reference: DialogRef,
        record: &Record,
        seq: Option<i64>,
        now: Date,
    ) -> rusqlite::Result<Event> {
        match decided {
            Decided::Already(event) => Ok(event),
            Decided::New(new) => self.apply(new, reference, record, seq, now),
        }
    }

    /// Holds a grant unless one is held for this dialog already. Removes those whose time has passed.
    fn hold(
        &mut self,
        reference: &DialogRef,
        early: &EarlyGrant,
        now: Date,
    ) -> rusqlite::Result<()> {
        self.early -= early_grants::end(&self.sql, now)?;
        self.early += early_grants::hold(&self.sql, reference, early)?;
        self.keep_date(now);
        Ok(())
    }
}
