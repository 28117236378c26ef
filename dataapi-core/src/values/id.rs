//! The ids of customers and dialogs.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 255 bytes of UTF-8 without control characters, and not `.` or `..`. Compared and ordered byte for byte,
        /// never normalised.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The maximum length in bytes.
            pub const MAX_BYTES: usize = 255;

            /// The id as it was sent.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(value: String) -> Result<Self, Invalid> {
                check_id($field, &value)?;
                Ok(Self(value.into_boxed_str()))
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(value: &str) -> Result<Self, Invalid> {
                check_id($field, value)?;
                Ok(Self(value.into()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

id! {
    /// The name that the chatbot chose for one of its users.
    ///
    /// ```
    /// use dataapi_core::CustomerId;
    ///
    /// let id: CustomerId = "zoë/42".parse()?;
    /// assert_eq!(id.as_str(), "zoë/42");
    /// assert_eq!(format!("{id:?}"), "CustomerId([redacted])");
    /// assert!("..".parse::<CustomerId>().is_err());
    /// # Ok::<(), dataapi_core::Invalid>(())
    /// ```
    CustomerId, "customer_id"
}

id! {
    /// The name of one dialog. It is unique in the whole store, not only for its customer.
    DialogId, "dialog_id"
}

fn check_id(field: &'static str, value: &str) -> Result<(), Invalid> {
    // Most ids are printable ASCII. This can be checked without decoding characters.
    let has_control = || {
        !value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && value.chars().any(char::is_control)
    };
    if value.is_empty() || value.len() > CustomerId::MAX_BYTES {
        Err(Invalid::new(field, "must be 1 to 255 bytes of UTF-8"))
    } else if has_control() {
        Err(Invalid::new(field, "must not contain control characters"))
    } else if matches!(value, "." | "..") {
        Err(Invalid::new(field, "must not be '.' or '..'"))
    } else {
        Ok(())
    }
}
