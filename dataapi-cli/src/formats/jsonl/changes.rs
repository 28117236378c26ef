//! What a server answers to `GET /changes`, only read.

use dataapi::Change;
use serde::Deserialize;

use super::dialog::DialogJson;
use super::event::EventJson;

#[derive(Deserialize)]
struct ChangesJson {
    events: Vec<ChangeJson>,
}

#[derive(Deserialize)]
struct ChangeJson {
    #[serde(flatten)]
    event: EventJson<'static>,
    dialog: Option<DialogJson<'static>>,
}

/// The changes that are in an answer; `None` if it is not one of a DataAPI server.
pub(crate) fn parse_changes(body: &[u8]) -> Option<Vec<Change>> {
    let answer: ChangesJson = serde_json::from_slice(body).ok()?;
    answer.events.into_iter().map(ChangeJson::into_change).collect()
}

impl ChangeJson {
    fn into_change(self) -> Option<Change> {
        let dialog = match self.dialog {
            Some(dialog) => Some(dialog.into_dialog()?),
            None => None,
        };
        Some(Change { event: self.event.into_event()?, dialog })
    }
}
