//! Revisions: an answer may be kept for as long as its revision lasts, and is then still right.

use dataapi_core::{Dialog, DialogStore, Filter, ImportedDialog, Page, Revision};
use tokio::task::yield_now;

use crate::ManualClock;
use crate::parallel::at_once;
use crate::scene::{
    customer, dialog, grant, id, insert, insert_consented, largest, page, withdraw,
};

/// A revision ends with each change of what can be read, whatever made the change.
///
/// A store that tells no revisions keeps this promise by that.
pub async fn a_revision_ends_when_what_can_be_read_changes(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let mut before = store.revision();
    let mut assert_ended = |by: &str| {
        let now = store.revision();
        assert!(now.is_none() || now != before, "a revision ends with {by}");
        before = now;
    };

    insert(store, "anna", "d-1").await;
    insert(store, "anna", "d-2").await;
    insert_consented(store, "anna", "d-3").await;
    assert_ended("a yes");
    grant(store, "d-1").await;
    assert_ended("another yes");
    withdraw(store, "d-1").await;
    assert_ended("a no");
    store.erase_dialog(&customer("anna"), &id("d-3")).await.expect("it is there");
    assert_ended("the erasure of a dialog");
    insert_consented(store, "ben", "d-4").await;
    assert_ended("a yes after erasures");
    store.erase_customer(&customer("ben")).await.expect("an erasure succeeds");
    assert_ended("the erasure of a customer");
    let imported = ImportedDialog { dialog: dialog("anna", "d-5"), date: None, consented: true };
    store.import(vec![imported]).await.expect("an import is answered");
    assert_ended("an import of a consented dialog");
}

/// While dialogs come and go, an answer that was kept and is given again while its revision
/// lasts never holds what was withdrawn before that, and never lacks what was consented to.
pub async fn an_answer_kept_for_its_revision_is_never_stale(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    at_once((0..8).map(|task| async move {
        let own = format!("d-{task}");
        let mut kept = None;
        for round in 0..12 {
            let name = format!("{own}-{round}");
            insert_consented(store, "anna", &name).await;
            assert!(holds(&keep(store, &mut kept).await, &name), "a yes is seen by later reads");
            yield_now().await;
            withdraw(store, &name).await;
            assert!(!holds(&keep(store, &mut kept).await, &name), "a no is seen by later reads");
        }
    }));
    let left = page(store, &Filter::default(), largest()).await;
    assert!(left.items.is_empty(), "in the end all of it is withdrawn");
}

type Kept = Option<(Revision, Page<Dialog>)>;

/// Answers as one does who keeps answers.
async fn keep(store: &dyn DialogStore, kept: &mut Kept) -> Page<Dialog> {
    let before = store.revision();
    if let Some((revision, page)) = kept
        && before == Some(*revision)
    {
        return page.clone();
    }
    let page = page(store, &Filter::default(), largest()).await;
    if let Some(revision) = store.revision().filter(|after| before == Some(*after)) {
        *kept = Some((revision, page.clone()));
    }
    page
}

fn holds(page: &Page<Dialog>, name: &str) -> bool {
    page.items.iter().any(|item| item.dialog_id().as_str() == name)
}
