//! Keys: who may do what with a store over a network. Only the hash of a key is ever stored.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;
use crate::query::Reach;
use crate::values::Date;
use crate::values::hex32;

/// What a key can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Storing dialogs.
    Ingest,
    /// Recording and reading decisions.
    Consent,
    /// Reading consented dialogs, and the counts.
    Read,
    /// Reading and erasing a customer's data and single dialogs.
    Subject,
    /// Reading the metrics, and nothing else.
    Metrics,
    /// All of the above.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] =
        [Self::Ingest, Self::Consent, Self::Read, Self::Subject, Self::Metrics, Self::Admin];

    /// The name of the role: `ingest`, `consent`, `read`, `subject`, `metrics`, `admin`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Consent => "consent",
            Self::Read => "read",
            Self::Subject => "subject",
            Self::Metrics => "metrics",
            Self::Admin => "admin",
        }
    }

    /// The bit that stands for the role in a store. It never changes, and a new role gets a new bit.
    const fn bit(self) -> u16 {
        match self {
            Self::Ingest => 1,
            Self::Consent => 1 << 1,
            Self::Read => 1 << 2,
            Self::Subject => 1 << 3,
            Self::Admin => 1 << 4,
            Self::Metrics => 1 << 5,
        }
    }
}

/// One or more roles.
///
/// A later version of DataAPI can have more roles. Roles read from a store keep those that this version does not know,
/// and then allow nothing: what an unknown role would restrict is unknown too.
///
/// ```
/// use dataapi_core::{Role, Roles};
///
/// let roles: Roles = "ingest,consent".parse()?;
/// assert!(roles.allow(Role::Consent) && !roles.allow(Role::Read));
/// assert!("admin".parse::<Roles>()?.allow(Role::Read));
/// assert!("".parse::<Roles>().is_err());
/// let later = Roles::from_bits("read".parse::<Roles>()?.bits() | 1 << 14)?;
/// assert!(!later.are_known() && !later.allow(Role::Read));
/// assert_eq!(later.to_string(), "read,unknown");
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles(u16);

impl Roles {
    /// The bits that a store can hold: every database has an integer for them.
    const STORABLE: u16 = (1 << 15) - 1;

    /// Takes the bits that a backend has stored, also those of roles that this version does not know.
    ///
    /// # Errors
    /// If no bit is set, or the highest one.
    pub fn from_bits(bits: u16) -> Result<Self, Invalid> {
        let is_fine = bits != 0 && bits & !Self::STORABLE == 0;
        if is_fine { Ok(Self(bits)) } else { Err(Self::invalid()) }
    }

    /// The bits, for a backend to store: fifteen at most.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether this version knows all of the roles. If not, they allow nothing.
    pub fn are_known(self) -> bool {
        let known = Role::ALL.into_iter().fold(0, |known, role| known | role.bit());
        self.0 & !known == 0
    }

    /// Whether the roles allow what `role` allows: [`Role::Admin`] allows everything.
    pub fn allow(self, role: Role) -> bool {
        self.are_known() && self.0 & (role.bit() | Role::Admin.bit()) != 0
    }

    /// The roles that were given, without those that this version does not know.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.0 & role.bit() != 0)
    }

    fn invalid() -> Invalid {
        Invalid::new(
            "role",
            "must be one or more of ingest, consent, read, subject, metrics, admin",
        )
    }
}

/// Reads a comma-separated list.
impl FromStr for Roles {
    type Err = Invalid;

    fn from_str(list: &str) -> Result<Self, Invalid> {
        let mut bits = 0;
        for name in list.split(',') {
            let role = Role::ALL.into_iter().find(|role| role.name() == name.trim());
            bits |= role.ok_or_else(Self::invalid)?.bit();
        }
        Self::from_bits(bits)
    }
}

/// Writes a comma-separated list, with `unknown` last for roles that this version does not know.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = (!self.are_known()).then_some("unknown");
        let names: Vec<_> = self.iter().map(Role::name).chain(unknown).collect();
        f.write_str(&names.join(","))
    }
}

/// The roles of a key, and the dialogs that it can be used for.
///
/// Roles convert into a grant without bounds. Some roles cannot be bound:
///
/// ```
/// use dataapi_core::{Grant, Reach, Role, Roles};
///
/// let english = Reach::default().only_languages(vec!["en".parse()?])?;
/// let analyst = Grant::new("read".parse()?, english.clone())?;
/// assert!(analyst.allows(Role::Read) && !analyst.reach().is_all());
/// assert!(Grant::new("admin".parse()?, english.clone()).is_err());
/// assert!(Grant::new("metrics".parse()?, english.clone()).is_err());
/// assert!(Grant::new("subject".parse()?, english).is_err());
/// let operator: Grant = "admin".parse::<Roles>()?.into();
/// assert!(operator.reach().is_all());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    roles: Roles,
    reach: Reach,
}

impl Grant {
    /// Grants `roles` for the dialogs within `reach`.
    ///
    /// # Errors
    /// If [`Role::Admin`] or [`Role::Metrics`] is bound at all, because an admin manages the whole store, and the metrics
    /// count all of it. If [`Role::Subject`] is bound to languages, because access and erasure cover everything held on a customer (GDPR articles 15 and 17).
    pub fn new(roles: Roles, reach: Reach) -> Result<Self, Invalid> {
        let given = |role: Role| roles.iter().any(|given| given == role);
        if !reach.is_all() && given(Role::Admin) {
            Err(Invalid::new(
                "role",
                "must not be admin for a key that is bound to customers or languages",
            ))
        } else if !reach.is_all() && given(Role::Metrics) {
            Err(Invalid::new(
                "role",
                "must not be metrics for a key that is bound to customers or languages",
            ))
        } else if !reach.languages().is_empty() && given(Role::Subject) {
            Err(Invalid::new("role", "must not be subject for a key that is bound to languages"))
        } else {
            Ok(Self { roles, reach })
        }
    }

    /// The roles.
    pub const fn roles(&self) -> Roles {
        self.roles
    }

    /// The dialogs that the roles apply to.
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether the roles allow what `role` allows.
    pub fn allows(&self, role: Role) -> bool {
        self.roles.allow(role)
    }
}

impl From<Roles> for Grant {
    fn from(roles: Roles) -> Self {
        Self { roles, reach: Reach::default() }
    }
}

/// The name of a key, which log lines contain too: 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        Self::try_from(name.to_owned())
    }
}

impl TryFrom<String> for KeyName {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
            Ok(Self(name.into_boxed_str()))
        } else {
            Err(Invalid::new("name", "must be 1 to 64 ASCII letters, digits, '.', '_' or '-'"))
        }
    }
}

/// A key itself: 256 random bits, shown once to the person who will use it.
///
/// Its text form is `dataapi_` and 64 hexadecimal digits, so that secret scanners recognise it.
///
/// ```
/// use dataapi_core::KeySecret;
///
/// let secret = KeySecret::from_bytes([7; 32]);
/// let again: KeySecret = secret.to_string().parse()?;
/// assert_eq!(again.hash(), secret.hash());
/// assert_eq!(format!("{secret:?}"), "KeySecret([redacted])");
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
pub struct KeySecret([u8; 32]);

impl KeySecret {
    const PREFIX: &'static str = "dataapi_";

    /// Takes 32 bytes, which for a new key must come from a cryptographic random source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash of the key, which is all that a store keeps: BLAKE3 over its bytes. A slow hash would add nothing,
    /// because nobody can guess 256 random bits.
    pub fn hash(&self) -> KeyHash {
        KeyHash(blake3::hash(&self.0))
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret([redacted])")
    }
}

impl fmt::Display for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeySecret {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix(Self::PREFIX);
        digits.and_then(hex32).map(Self).ok_or_else(|| {
            Invalid::new(
                "key",
                "must be 'dataapi_' and 64 hexadecimal digits, as 'dataapi key create' printed it",
            )
        })
    }
}

/// The hash of a key. Hashes are compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(blake3::Hash);

impl KeyHash {
    /// Takes the bytes that a backend has stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// The bytes, for a backend to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash([redacted])")
    }
}

/// A new key, for a store to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Its name. No two keys of a store ever have the same name.
    pub name: KeyName,
    /// What it can be used for.
    pub grant: Grant,
    /// The hash of the key itself.
    pub hash: KeyHash,
    /// When it expires; `None` for never.
    pub expires: Option<Date>,
}

impl NewKey {
    /// The key as a store keeps it from then on.
    pub fn kept(self, created: Date) -> Key {
        let Self { name, grant, hash, expires } = self;
        Key { name, grant, hash, created, expires, revoked: None, last_used: None }
    }
}

/// A key as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: KeyName,
    /// What it can be used for.
    pub grant: Grant,
    /// The hash of the key itself.
    pub hash: KeyHash,
    /// When it was created.
    pub created: Date,
    /// When it expires; `None` for never.
    pub expires: Option<Date>,
    /// When it was revoked.
    pub revoked: Option<Date>,
    /// When it was last used, accurate to a few minutes.
    pub last_used: Option<Date>,
}

impl Key {
    /// Whether the key works at that time: it is neither revoked nor expired.
    pub fn works(&self, now: Date) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}
