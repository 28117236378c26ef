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
    /// Its words.
    pub text: Text,
}

impl NewDialog {
    /// Parses all four values, the text of at most [`Text::DEFAULT_MAX_BYTES`].
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
}

/// What came of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// When the store received the dialog.
    pub date: Date,
    /// Whether it is readable already, because its customer's *yes* came first.
    pub is_consented: bool,
}

/// A dialog that another store received, to be taken in with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedDialog {
    /// The dialog itself.
    pub dialog: NewDialog,
    /// When the other store received it; left out, it counts as received now.
    pub date: Option<Date>,
    /// Whether its customer has consented.
    pub consented: bool,
}

/// A dialog as a store holds it: its words cannot be had from here.
///
/// The two ways out are [`StoredDialog::readable`], which goes through consent, and
/// [`StoredDialog::for_subject`], which goes to the customer whom the data is about. A text that
/// nobody consented to is therefore out of reach by type:
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
    /// What a backend read from its storage: the dialog, when it was received, and whether its last
    /// event is that consent was granted.
    pub fn new(dialog: NewDialog, date: Date, is_consented: bool) -> Self {
        Self { dialog, date, is_consented }
    }

    /// The consent gate (GDPR article 6(1)(a)): hands out the dialog if its customer said yes.
    ///
    /// # Errors
    /// [`StoreError::ConsentRequired`] while it is pending; the words are dropped.
    pub fn readable(self) -> Result<Dialog, StoreError> {
        if self.is_consented {
            Ok(Dialog { dialog: self.dialog, date: self.date })
        } else {
            Err(StoreError::ConsentRequired)
        }
    }

    /// The data subject's own copy (GDPR articles 15 and 20): consent or not, but only what is
    /// held on that very customer.
    pub fn for_subject(self, subject: &CustomerId) -> Option<HeldDialog> {
        (self.dialog.customer_id == *subject).then_some(HeldDialog {
            dialog: self.dialog,
            date: self.date,
            consent_received: self.is_consented,
        })
    }

    /// Whether `other` is the same dialog sent once more: same customer, text and language.
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

    /// Whether its customer said yes; it is pending otherwise.
    pub fn is_consented(&self) -> bool {
        self.is_consented
    }

    /// Notes that consent was granted.
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

        /// Its words.
        pub fn text(&self) -> &Text {
            &self.dialog.text
        }

        /// When it was received.
        pub fn date(&self) -> Date {
            self.date
        }
    };
}

/// A consented dialog: the only thing that an analyst can read.
///
/// It comes out of [`StoredDialog::readable`] and from nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    dialog: NewDialog,
    date: Date,
}

impl Dialog {
    read_access!();
}

/// A dialog in the hands of the customer whom it is about, consented or not.
///
/// It comes out of [`StoredDialog::for_subject`] and from nowhere else.
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
