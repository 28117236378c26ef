//! Revisions: an answer can be kept and reused for as long as its revision lasts.

use dataapi_core::{Dialog, DialogStore, Filter, ImportedDialog, Page, Revision};
use tokio::task::yield_now;

use crate::ManualClock;
use crate::parallel::at_once;
use crate::scene::{
    customer, dialog, grant, id, insert, insert_consented, largest, page, withdraw,
};

/// A revision ends with every change to what can be read, whichever call made the change.
///
/// A store whose revision is always `None` keeps this promise.
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
    assert_ended("a grant");
    grant(store, "d-1").await;
    assert_ended("another grant");
    withdraw(store, "d-1").await;
    assert_ended("a withdrawal");
    store.erase_dialog(&customer("anna"), &id("d-3")).await.expect("it is there");
    assert_ended("the erasure of a dialog");
    insert_consented(store, "ben", "d-4").await;
    assert_ended("a grant after erasures");
    store.erase_customer(&customer("ben")).await.expect("an erasure succeeds");
    assert_ended("the erasure of a customer");
    let imported = ImportedDialog { dialog: dialog("anna", "d-5"), date: None, consented: true };
    store.import(vec![imported]).await.expect("an import is answered");
    assert_ended("an import of a consented dialog");
}

/// While dialogs come and go, an answer that is reused while its revision lasts never contains a dialog that was
/// withdrawn before, and never lacks one that was consented to.
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
            assert!(holds(&keep(store, &mut kept).await, &name), "later reads see a grant");
            yield_now().await;
            withdraw(store, &name).await;
            assert!(!holds(&keep(store, &mut kept).await, &name), "later reads see a withdrawal");
        }
    }));
    let left = page(store, &Filter::default(), largest()).await;
    assert!(left.items.is_empty(), "in the end every dialog is withdrawn");
}

type Kept = Option<(Revision, Page<Dialog>)>;

/// Answers like a client that keeps answers.
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
