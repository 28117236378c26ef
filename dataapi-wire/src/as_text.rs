//! Values that are strings in JSON: written without an intermediate string, and checked when they are read.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use dataapi_core::Invalid;
use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

pub(crate) fn serialize<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err = Invalid>,
    D: Deserializer<'de>,
{
    struct Text<T>(PhantomData<T>);

    impl<T: FromStr<Err = Invalid>> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}

/// The same for a value that can be `null`.
pub(crate) mod or_null {
    use std::fmt::Display;
    use std::str::FromStr;

    use dataapi_core::Invalid;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    #[allow(clippy::ref_option, reason = "what serde calls")]
    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err = Invalid>,
        D: Deserializer<'de>,
    {
        #[derive(serde::Deserialize)]
        #[serde(transparent)]
        struct Value<T: FromStr<Err = Invalid>>(
            #[serde(deserialize_with = "super::deserialize")] T,
        );

        Ok(Option::<Value<T>>::deserialize(deserializer)?.map(|Value(value)| value))
    }
}

/// Implements `Debug` for types that hold texts or ids: it prints only the type's name.
macro_rules! redacted {
    ($($name:ident),+ $(,)?) => {$(
        impl std::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    )+};
}

pub(crate) use redacted;
