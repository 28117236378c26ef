//! A macro for wrappers: stores that pass most methods on to another store.

/// Writes the methods of a store trait that a wrapper passes on unchanged to the store in one of its fields.
///
/// Use it in an `impl` of [`Dialogs`](crate::Dialogs), [`Ledger`](crate::Ledger), [`Keys`](crate::Keys) or
/// [`Upkeep`](crate::Upkeep), next to the wrapper's own methods. `delegate!(Keys to store)` passes on all methods of
/// the trait `Keys`; `delegate!(events, ledger_head to store)` passes on the named ones. The field is a store or
/// dereferences to one, such as an `Arc<dyn DialogStore>`. It costs nothing, because it returns the inner store's
/// future as it is.
///
/// ```
/// use std::sync::Arc;
///
/// use dataapi_core::prelude::*;
/// use dataapi_core::{Purge, Date, StoreError};
///
/// /// A store that never purges.
/// struct Keeping {
///     store: Arc<dyn DialogStore>,
/// }
///
/// impl Dialogs for Keeping {
///     dataapi_core::delegate!(Dialogs to store);
/// }
///
/// impl Ledger for Keeping {
///     dataapi_core::delegate!(Ledger to store);
/// }
///
/// impl Keys for Keeping {
///     dataapi_core::delegate!(Keys to store);
/// }
///
/// #[async_trait::async_trait]
/// impl Upkeep for Keeping {
///     dataapi_core::delegate!(purgeable, reference, revision, info, activity, ready, scrub to store);
///
///     async fn purge(&self, _: Purge, _: Date, _: u32) -> Result<u64, StoreError> {
///         Ok(0)
///     }
/// }
///
/// # use dataapi_core::{Decision, Evidence, MemoryStore, NewDialog, RefKey, SystemClock};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), StoreError> {
/// let memory = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
/// let store: Arc<dyn DialogStore> = Arc::new(Keeping { store: Arc::new(memory) });
/// store.insert(NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?).await?;
/// assert_eq!(store.purge(Purge::Pending, Date::MAX, 10).await?, 0);
/// assert_eq!(store.stats().await?.pending, 1);
/// # Ok(()) }
/// ```
#[macro_export]
macro_rules! delegate {
    (Dialogs to $store:ident) => {
        $crate::delegate!(
            insert, import, decide, decide_early, consent, dialog, is_within, query, query_within,
            subject_data, subject_data_within, erase_dialog, erase_customer, stats to $store
        );
    };
    (Ledger to $store:ident) => {
        $crate::delegate!(events, changes, changes_within, ledger_head to $store);
    };
    (Keys to $store:ident) => {
        $crate::delegate!(create_key, keys, revoke_key, note_key_use to $store);
    };
    (Upkeep to $store:ident) => {
        $crate::delegate!(
            purge, purgeable, reference, revision, info, activity, ready, scrub to $store
        );
    };
    ($($method:ident),+ to $store:ident) => {
        $($crate::__delegate_method!($method $store);)+
    };
}

/// One method of [`delegate!`]. Apart from the traits, this is the only place that lists their signatures.
#[doc(hidden)]
#[macro_export]
macro_rules! __delegate_method {
    (insert $store:ident) => {
        $crate::__delegate_method!(@ $store insert[](dialog: $crate::NewDialog) -> $crate::Received);
    };
    (import $store:ident) => {
        $crate::__delegate_method!(@ $store import[](batch: ::std::vec::Vec<$crate::ImportedDialog>)
            -> ::std::vec::Vec<::std::result::Result<(), $crate::StoreError>>);
    };
    (decide $store:ident) => {
        $crate::__delegate_method!(@ $store decide[](
            dialog_id: $crate::DialogId,
            decision: $crate::Decision,
            evidence: $crate::Evidence
        ) -> $crate::Receipt);
    };
    (decide_early $store:ident) => {
        $crate::__delegate_method!(@ $store decide_early[](
            dialog_id: $crate::DialogId,
            decision: $crate::Decision,
            evidence: $crate::Evidence,
            hold_for: ::std::time::Duration
        ) -> $crate::EarlyDecision);
    };
    (consent $store:ident) => {
        $crate::__delegate_method!(@ $store consent['a](dialog_id: &'a $crate::DialogId)
            -> $crate::ConsentStatus);
    };
    (dialog $store:ident) => {
        $crate::__delegate_method!(@ $store dialog['a, 'b, 'c](
            customer_id: &'a $crate::CustomerId,
            dialog_id: &'b $crate::DialogId,
            reach: &'c $crate::Reach
        ) -> $crate::Dialog);
    };
    (is_within $store:ident) => {
        $crate::__delegate_method!(@ $store is_within['a, 'b](
            reach: &'a $crate::Reach,
            dialog_id: &'b $crate::DialogId
        ) -> bool);
    };
    (query $store:ident) => {
        $crate::__delegate_method!(@ $store query['a](request: &'a $crate::PageRequest)
            -> $crate::Page<$crate::Dialog>);
    };
    (query_within $store:ident) => {
        $crate::__delegate_method!(@ $store query_within['a](
            request: &'a $crate::PageRequest,
            allowance: ::std::sync::Arc<dyn $crate::Allowance>
        ) -> $crate::Page<$crate::Dialog>);
    };
    (subject_data $store:ident) => {
        $crate::__delegate_method!(@ $store subject_data['a](request: &'a $crate::SubjectRequest)
            -> $crate::Page<$crate::HeldDialog>);
    };
    (subject_data_within $store:ident) => {
        $crate::__delegate_method!(@ $store subject_data_within['a](
            request: &'a $crate::SubjectRequest,
            allowance: ::std::sync::Arc<dyn $crate::Allowance>
        ) -> $crate::Page<$crate::HeldDialog>);
    };
    (erase_dialog $store:ident) => {
        $crate::__delegate_method!(@ $store erase_dialog['a, 'b](
            customer_id: &'a $crate::CustomerId,
            dialog_id: &'b $crate::DialogId
        ) -> ());
    };
    (erase_customer $store:ident) => {
        $crate::__delegate_method!(@ $store erase_customer['a](customer_id: &'a $crate::CustomerId)
            -> u64);
    };
    (stats $store:ident) => {
        $crate::__delegate_method!(@ $store stats[]() -> $crate::Stats);
    };
    (events $store:ident) => {
        $crate::__delegate_method!(@ $store events['a, 'b](
            after: &'a $crate::Positions,
            limit: $crate::Limit,
            reach: &'b $crate::Reach
        ) -> ::std::vec::Vec<$crate::Event>);
    };
    (changes $store:ident) => {
        $crate::__delegate_method!(@ $store changes['a, 'b](
            after: &'a $crate::Positions,
            limit: $crate::Limit,
            reach: &'b $crate::Reach
        ) -> ::std::vec::Vec<$crate::Change>);
    };
    (changes_within $store:ident) => {
        $crate::__delegate_method!(@ $store changes_within['a, 'b](
            after: &'a $crate::Positions,
            limit: $crate::Limit,
            reach: &'b $crate::Reach,
            allowance: ::std::sync::Arc<dyn $crate::Allowance>
        ) -> ::std::vec::Vec<$crate::Change>);
    };
    (ledger_head $store:ident) => {
        $crate::__delegate_method!(@ $store ledger_head[]() -> $crate::LedgerHead);
    };
    (create_key $store:ident) => {
        $crate::__delegate_method!(@ $store create_key[](key: $crate::NewKey) -> $crate::Date);
    };
    (keys $store:ident) => {
        $crate::__delegate_method!(@ $store keys[]() -> ::std::vec::Vec<$crate::Key>);
    };
    (revoke_key $store:ident) => {
        $crate::__delegate_method!(@ $store revoke_key['a](name: &'a $crate::KeyName) -> bool);
    };
    (note_key_use $store:ident) => {
        $crate::__delegate_method!(@ $store note_key_use[](
            used: ::std::vec::Vec<($crate::KeyName, $crate::Date)>
        ) -> ());
    };
    (purge $store:ident) => {
        $crate::__delegate_method!(@ $store purge[](
            which: $crate::Purge,
            before: $crate::Date,
            at_most: u32
        ) -> u64);
    };
    (purgeable $store:ident) => {
        $crate::__delegate_method!(@ $store purgeable[](which: $crate::Purge, before: $crate::Date)
            -> u64);
    };
    (info $store:ident) => {
        $crate::__delegate_method!(@ $store info[]() -> $crate::StoreInfo);
    };
    (ready $store:ident) => {
        $crate::__delegate_method!(@ $store ready[]() -> ());
    };
    (scrub $store:ident) => {
        $crate::__delegate_method!(@ $store scrub[]() -> ());
    };
    (reference $store:ident) => {
        fn reference(&self, dialog_id: &$crate::DialogId) -> $crate::DialogRef {
            self.$store.reference(dialog_id)
        }
    };
    (revision $store:ident) => {
        fn revision(&self) -> ::std::option::Option<$crate::Revision> {
            self.$store.revision()
        }
    };
    (activity $store:ident) => {
        fn activity(&self) -> $crate::Activity {
            self.$store.activity()
        }
    };
    // An asynchronous method, written out as `async_trait` would: the attribute on the `impl` does not look into a
    // macro.
    (@ $store:ident $method:ident[$($life:lifetime),*]($($name:ident: $type:ty),*) -> $answer:ty) => {
        fn $method<'s, $($life,)* 'f>(
            &'s self,
            $($name: $type),*
        ) -> ::std::pin::Pin<
            ::std::boxed::Box<
                dyn ::std::future::Future<Output = ::std::result::Result<$answer, $crate::StoreError>>
                    + ::std::marker::Send
                    + 'f,
            >,
        >
        where
            's: 'f,
            $($life: 'f,)*
            Self: 'f,
        {
            self.$store.$method($($name),*)
        }
    };
}
