//! Dialogs, and the gate between what is stored and what can be read.

use crate::error::{Invalid, StoreError};
use crate::values::{CustomerId, Date, DialogId, Language, Text};

/// A dialog as a chatbot sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDialog {
    /// Whose dialog it is.
    pub customer_id: CustomerId,
    /// Its id, unique in the whole store.
    pub dialog_id: DialogId,
    /// The language of its text.
    pub language: Language,
    /// The text of the dialog.
    pub text: Text,
}

impl NewDialog {
    /// Parses all four values. The text can have up to [`Text::DEFAULT_MAX_BYTES`] bytes.
    ///
    /// # Errors
    /// Names the first field that is outside its bounds.
    pub fn parse(
        customer_id: &str,
        dialog_id: &str,
        language: &str,
        text: &str,
    ) -> Result<Self, Invalid> {
        Ok(Self {
            customer_id: customer_id.parse()?,
            dialog_id: dialog_id.parse()?,
            language: language.parse()?,
            text: Text::parse(text.to_owned(), Text::DEFAULT_MAX_BYTES)?,
        })
    }

    /// About how many bytes of memory it takes.
    pub fn bytes_in_memory(&self) -> usize {
        const FIXED: usize = 160;
        let (customer, dialog) = (self.customer_id.as_str().len(), self.dialog_id.as_str().len());
        self.text.as_str().len() + customer + dialog + self.language.as_str().len() + FIXED
    }
}

/// The result of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// When the store received the dialog.
    pub date: Date,
    /// Whether the dialog is readable already, because consent was granted before the dialog came.
    pub is_consented: bool,
}

/// A dialog that another store received, imported with its date and its consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedDialog {
    /// The dialog itself.
    pub dialog: NewDialog,
    /// When the other store received it. Without a date it counts as received now.
    pub date: Option<Date>,
    /// Whether its customer has consented.
    pub consented: bool,
}

/// A dialog as a store holds it. Its text cannot be read from this type.
///
/// There are two ways to the text: [`StoredDialog::readable`] requires consent, and [`StoredDialog::for_subject`] gives
/// the dialog to the customer whom the data is about. The type system therefore keeps every text that nobody consented
/// to out of reach:
///
/// ```compile_fail,E0599
/// # use dataapi_core::StoredDialog;
/// fn peek(stored: StoredDialog) -> String {
///     stored.text().as_str().to_owned() // no such method
/// }
/// ```
///
/// ```compile_fail,E0616
/// # use dataapi_core::StoredDialog;
/// fn peek(stored: StoredDialog) -> String {
///     stored.dialog.text.as_str().to_owned() // private
/// }
/// ```
///
/// Nor can a [`Dialog`] be made by hand:
///
/// ```compile_fail,E0451
/// # use dataapi_core::{Date, Dialog, NewDialog};
/// fn forge(dialog: NewDialog, date: Date) -> Dialog {
///     Dialog { dialog, date } // private fields
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StoredDialog {
    dialog: NewDialog,
    date: Date,
    is_consented: bool,
}

impl StoredDialog {
    /// Takes what a backend read from its storage: the dialog, when it was received, and whether its last event is a
    /// grant of consent.
    pub fn new(dialog: NewDialog, date: Date, is_consented: bool) -> Self {
        Self { dialog, date, is_consented }
    }

    /// The consent gate (GDPR article 6(1)(a)): returns the dialog if its customer has consented.
    ///
    /// # Errors
    /// [`StoreError::ConsentRequired`] while the dialog is pending. The text is dropped.
    pub fn readable(self) -> Result<Dialog, StoreError> {
        if self.is_consented {
            Ok(Dialog { dialog: self.dialog, date: self.date })
        } else {
            Err(StoreError::ConsentRequired)
        }
    }

    /// The data subject's own copy (GDPR articles 15 and 20), with or without consent. `None` if the dialog belongs to
    /// another customer.
    pub fn for_subject(self, subject: &CustomerId) -> Option<HeldDialog> {
        (self.dialog.customer_id == *subject).then_some(HeldDialog {
            dialog: self.dialog,
            date: self.date,
            consent_received: self.is_consented,
        })
    }

    /// About how many bytes of memory it takes.
    pub fn bytes_in_memory(&self) -> usize {
        self.dialog.bytes_in_memory()
    }

    /// Whether `other` is the same dialog sent again: same customer, id, text and language.
    pub fn same_content(&self, other: &NewDialog) -> bool {
        self.dialog == *other
    }

    /// When the dialog was received.
    pub fn date(&self) -> Date {
        self.date
    }

    /// The id of the dialog.
    pub fn dialog_id(&self) -> &DialogId {
        &self.dialog.dialog_id
    }

    /// Whose dialog it is.
    pub fn customer_id(&self) -> &CustomerId {
        &self.dialog.customer_id
    }

    /// The language of its text.
    pub fn language(&self) -> &Language {
        &self.dialog.language
    }

    /// Whether its customer has consented. If not, the dialog is pending.
    pub fn is_consented(&self) -> bool {
        self.is_consented
    }

    /// Marks the dialog as consented.
    pub fn grant(&mut self) {
        self.is_consented = true;
    }
}

macro_rules! read_access {
    () => {
        /// The id of the dialog.
        pub fn dialog_id(&self) -> &DialogId {
            &self.dialog.dialog_id
        }

        /// Whose dialog it is.
        pub fn customer_id(&self) -> &CustomerId {
            &self.dialog.customer_id
        }

        /// The language of its text.
        pub fn language(&self) -> &Language {
            &self.dialog.language
        }

        /// The text of the dialog.
        pub fn text(&self) -> &Text {
            &self.dialog.text
        }

        /// When it was received.
        pub fn date(&self) -> Date {
            self.date
        }

        /// About how many bytes of memory it takes.
        pub fn bytes_in_memory(&self) -> usize {
            self.dialog.bytes_in_memory()
        }
    };
}

/// A consented dialog: the only kind of dialog that an analyst can read.
///
/// Only [`StoredDialog::readable`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    dialog: NewDialog,
    date: Date,
}

impl Dialog {
    read_access!();
}

/// A dialog for the customer whom it is about, consented or not.
///
/// Only [`StoredDialog::for_subject`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDialog {
    dialog: NewDialog,
    date: Date,
    consent_received: bool,
}

impl HeldDialog {
    read_access!();

    /// Whether its customer has consented.
    pub fn consent_received(&self) -> bool {
        self.consent_received
    }
}
