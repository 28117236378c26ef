//! Keys: who may do what with a store over a network. Only the hash of a key is ever kept.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;
use crate::query::Reach;
use crate::values::Date;
use crate::values::hex32;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Storing dialogs.
    Ingest,
    /// Recording and reading decisions.
    Consent,
    /// Reading what was consented to, and the counts.
    Read,
    /// Reading and erasing a customer's data and single dialogs.
    Subject,
    /// All of that, and the metrics.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Ingest, Self::Consent, Self::Read, Self::Subject, Self::Admin];

    /// Its name: `ingest`, `consent`, `read`, `subject`, `admin`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Consent => "consent",
            Self::Read => "read",
            Self::Subject => "subject",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One role or more.
///
/// ```
/// use dataapi_core::{Role, Roles};
///
/// let roles: Roles = "ingest,consent".parse()?;
/// assert!(roles.allow(Role::Consent) && !roles.allow(Role::Read));
/// assert!("admin".parse::<Roles>()?.allow(Role::Read));
/// assert!("".parse::<Roles>().is_err());
/// # Ok::<(), dataapi_core::Invalid>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Takes the bits that a backend kept.
    ///
    /// # Errors
    /// When none is set, or one that is no role's.
    pub fn from_bits(bits: u8) -> Result<Self, Invalid> {
        let known = Role::ALL.into_iter().fold(0, |known, role| known | role.bit());
        if bits != 0 && bits & !known == 0 { Ok(Self(bits)) } else { Err(Self::invalid()) }
    }

    /// The bits, for a backend to keep.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether what takes that role may be done.
    pub const fn allow(self, role: Role) -> bool {
        self.0 & (role.bit() | Role::Admin.bit()) != 0
    }

    /// Those that were given.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.0 & role.bit() != 0)
    }

    fn invalid() -> Invalid {
        Invalid::new("role", "must be one or more of ingest, consent, read, subject, admin")
    }
}

/// A list with commas between.
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

/// A list with commas between.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Role::name).collect();
        f.write_str(&names.join(","))
    }
}

/// What someone may do, and on which dialogs.
///
/// Without bounds, roles are a grant by themselves. Some roles make no sense within bounds:
///
/// ```
/// use dataapi_core::{Grant, Reach, Role, Roles};
///
/// let english = Reach::default().only_languages(vec!["en".parse()?])?;
/// let analyst = Grant::new("read".parse()?, english.clone())?;
/// assert!(analyst.allows(Role::Read) && !analyst.reach().is_all());
/// assert!(Grant::new("admin".parse()?, english.clone()).is_err());
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
    /// Grants `roles` on what is within `reach`.
    ///
    /// # Errors
    /// For [`Role::Admin`] within any bounds, as it does what concerns the whole store; for
    /// [`Role::Subject`] bound to languages, as a customer is told and erased whole (GDPR articles 15 and
    /// 17).
    pub fn new(roles: Roles, reach: Reach) -> Result<Self, Invalid> {
        let given = |role: Role| roles.iter().any(|given| given == role);
        if !reach.is_all() && given(Role::Admin) {
            Err(Invalid::new("role", "must not be admin where a key is bound"))
        } else if !reach.languages().is_empty() && given(Role::Subject) {
            Err(Invalid::new("role", "must not be subject where a key is bound to languages"))
        } else {
            Ok(Self { roles, reach })
        }
    }

    /// What may be done.
    pub const fn roles(&self) -> Roles {
        self.roles
    }

    /// On which dialogs.
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether what takes that role may be done.
    pub const fn allows(&self, role: Role) -> bool {
        self.roles.allow(role)
    }
}

impl From<Roles> for Grant {
    fn from(roles: Roles) -> Self {
        Self { roles, reach: Reach::default() }
    }
}

/// What a key is called, in logs too: 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
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
            Err(Invalid::new("name", "must be 1 to 64 letters, digits, '.', '_' and '-'"))
        }
    }
}

/// A key itself: 256 random bits, shown once to whoever is to use it.
///
/// Its text form is `dataapi_` and 64 hexadecimal digits, so that tools that look for leaked secrets
/// know it.
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

    /// What is kept of it: BLAKE3 over its bytes. A slow hash would add nothing, since nobody can guess
    /// 256 random bits.
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
                "must be as 'dataapi key create' showed it, 'dataapi_' and the rest",
            )
        })
    }
}

/// The hash of a key. Two are compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(blake3::Hash);

impl KeyHash {
    /// Takes the bytes that a backend kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// The bytes, for a backend to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash([redacted])")
    }
}

/// A key to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is called; no two keys of a store ever have the same name.
    pub name: KeyName,
    /// What it may be used for.
    pub grant: Grant,
    /// What is kept of the key itself.
    pub hash: KeyHash,
    /// From when on it works no more; `None` for never.
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
    /// What it is called.
    pub name: KeyName,
    /// What it may be used for.
    pub grant: Grant,
    /// What is kept of the key itself.
    pub hash: KeyHash,
    /// When it was made.
    pub created: Date,
    /// From when on it works no more.
    pub expires: Option<Date>,
    /// When it was revoked.
    pub revoked: Option<Date>,
    /// When it was last used, to within a few minutes.
    pub last_used: Option<Date>,
}

impl Key {
    /// Whether it works at that time.
    pub fn works(&self, now: Date) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}
