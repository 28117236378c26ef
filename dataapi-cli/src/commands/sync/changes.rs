//! The changes in a store's ledger since an export.

use std::collections::{BTreeMap, HashMap};

use dataapi::{ChainHead, Dialog, DialogRef, Filter, LedgerHead, Positions};
use dataapi_wire::Manifest;

use super::change_source::ChangeSource;
use super::error::SyncError;
use crate::error::CommandError;

/// The changes since an export: for each changed dialog its current content, or `None` if it is gone or does not
/// match the filter.
pub(super) struct ChangesSinceExport {
    pub(super) by_dialog: HashMap<DialogRef, Option<Dialog>>,
    pub(super) head: LedgerHead,
    /// Whether there are no further changes.
    pub(super) is_all: bool,
}

impl ChangesSinceExport {
    pub(super) async fn read(
        source: &ChangeSource,
        manifest: &Manifest,
        at_most: usize,
    ) -> Result<Self, CommandError> {
        let strange = |_| CommandError::from(SyncError::Changed);
        let filter = manifest.filter().map_err(strange)?;
        let noted = manifest.head().map_err(strange)?;
        let mut heads = heads_at(source, &noted.positions).await?;
        if LedgerHead::of(heads.values().copied()) != noted {
            return Err(SyncError::OtherLedger.into());
        }
        let mut seen = noted.positions;
        let mut by_dialog = HashMap::new();
        let mut bytes = 0;
        loop {
            let more = source.changes(&seen).await?;
            if more.is_empty() {
                let head = LedgerHead::of(heads.into_values());
                return Ok(Self { by_dialog, head, is_all: true });
            }
            for change in more {
                let event = &change.event;
                let head = heads.entry(event.chain).or_insert(ChainHead::empty(event.chain));
                if !head.precedes(event) {
                    return Err(SyncError::OtherLedger.into());
                }
                *head = event.head();
                seen.pass(event);
                let dialog = change.dialog.filter(|dialog| is_in(&filter, dialog));
                bytes += dialog.as_ref().map_or(0, |dialog| dialog.text().as_str().len());
                by_dialog.insert(event.reference, dialog);
            }
            if bytes >= at_most {
                let head = LedgerHead::of(heads.into_values());
                return Ok(Self { by_dialog, head, is_all: false });
            }
        }
    }
}

/// The chain heads at the noted positions, by chain.
async fn heads_at(
    source: &ChangeSource,
    noted: &Positions,
) -> Result<BTreeMap<u16, ChainHead>, CommandError> {
    let mut heads = BTreeMap::new();
    let mut before = Positions::START;
    for (chain, position) in noted.chains() {
        before.set(chain, position - 1);
        let there = source.changes(&before).await?;
        heads.extend(there.first().map(|change| (chain, change.event.head())));
        // Skip this chain in the following requests.
        before.set(chain, u64::MAX);
    }
    Ok(heads)
}

fn is_in(filter: &Filter, dialog: &Dialog) -> bool {
    filter.matches(dialog.customer_id(), dialog.language(), dialog.date())
}
