//! Keeps new dialogs of a customer out while everything held on the customer is erased.
//!
//! An erasure of a customer takes what is held at one moment. A dialog that came after that moment and before the
//! commit would be seen beside those that the commit erases, so no order of the two calls would explain it. The chains
//! do not prevent this: storing a pending dialog locks none. So a transaction that stores dialogs shares a lock of each
//! of their customers, and an erasure has it alone. Customers with the same hash share one: a transaction then takes
//! few locks, however many dialogs it stores.

use dataapi_core::CustomerId;

/// The customers whose dialogs a request stores or erases.
#[derive(Clone, Debug, Default)]
pub(crate) enum Customers {
    /// None, or only dialogs that are named one by one.
    #[default]
    Any,
    /// It stores dialogs of these customers.
    Stores(Vec<CustomerId>),
    /// It erases everything held on this customer.
    Erases(CustomerId),
}

/// Shares the locks of customers, always in the same order.
pub(super) const SHARE: &str = "
    SELECT pg_advisory_xact_lock_shared(hashtext('dataapi.customer'), number)
      FROM (SELECT DISTINCT hashtext(name) & 63 AS number FROM unnest($1::text[]) AS name
             ORDER BY number) AS numbers";

/// Takes the lock of a customer alone.
pub(super) const TAKE: &str =
    "SELECT pg_advisory_xact_lock(hashtext('dataapi.customer'), hashtext($1::text) & 63)";
