//! Keys: what their roles and bounds allow, for how long, and how they are written.

use dataapi_core::{Date, Grant, Invalid, Key, KeyName, KeySecret, NewKey, Reach, Role, Roles};

fn roles(names: &str) -> Roles {
    names.parse().expect("known roles")
}

fn date(micros: i64) -> Date {
    Date::from_micros(micros).expect("it is within the bounds")
}

/// Stores keep these numbers, so they must never change.
const BITS: [(&str, Role, u16); 6] = [
    ("ingest", Role::Ingest, 1),
    ("consent", Role::Consent, 2),
    ("read", Role::Read, 4),
    ("subject", Role::Subject, 8),
    ("admin", Role::Admin, 16),
    ("metrics", Role::Metrics, 32),
];

#[test]
fn each_role_has_its_name_and_its_bit_for_ever() {
    for (name, role, bit) in BITS {
        assert_eq!(role.name(), name);
        assert_eq!(roles(name).bits(), bit);
        assert_eq!(Roles::from_bits(bit).expect("a role").to_string(), name);
        assert!(roles(name).iter().eq([role]));
    }
    assert_eq!(BITS.len(), Role::ALL.len());
}

#[test]
fn a_role_allows_itself_and_admin_allows_everything() {
    for (name, given, _) in BITS {
        for wanted in Role::ALL {
            let allowed = given == wanted || given == Role::Admin;
            assert_eq!(roles(name).allow(wanted), allowed, "{given:?}, {wanted:?}");
            assert_eq!(Grant::from(roles(name)).allows(wanted), allowed);
        }
    }
    let several = roles(" read, consent,read");
    assert_eq!((several.bits(), several.to_string().as_str()), (6, "consent,read"));
    assert!(several.allow(Role::Read) && several.allow(Role::Consent));
    assert!(!several.allow(Role::Ingest));
}

#[test]
fn a_role_that_is_not_known_yet_is_kept_and_nothing_is_allowed_with_it() {
    for bits in (6..15).map(|bit| 1 << bit) {
        for with in [0, 16, 63] {
            let later = Roles::from_bits(bits | with).expect("a store can hold it");
            assert_eq!(later.bits(), bits | with);
            assert!(!later.are_known());
            assert!(Role::ALL.into_iter().all(|role| !later.allow(role)));
            assert!(later.to_string().ends_with("unknown"));
        }
    }
    let all = Roles::from_bits(63).expect("all roles");
    assert!(all.are_known());
    assert_eq!(all.to_string(), "ingest,consent,read,subject,metrics,admin");
    for bits in [0, 1 << 15, 1 << 15 | 1] {
        assert!(Roles::from_bits(bits).is_err(), "{bits:#b}");
    }
    assert!(Roles::from_bits((1 << 15) - 1).is_ok());
}

#[test]
fn what_is_no_role_is_refused() {
    for names in ["", ",", "read,", "reader", "READ", "read consent", "unknown"] {
        let refusal = names.parse::<Roles>().expect_err("it is no list of roles");
        assert_eq!(refusal.field, "role", "{names:?}");
    }
}

#[test]
fn only_roles_that_can_be_bound_are_bound() {
    let customers = Reach::default().only_customers("shop-".parse().expect("a prefix"));
    let languages =
        Reach::default().only_languages(vec!["en".parse().expect("a tag")]).expect("one language");
    for (name, role, _) in BITS {
        for reach in [&Reach::default(), &customers, &languages] {
            let is_refused = !reach.is_all()
                && (matches!(role, Role::Admin | Role::Metrics)
                    || role == Role::Subject && !reach.languages().is_empty());
            for names in [name.to_owned(), format!("ingest,{name}")] {
                let grant = Grant::new(roles(&names), reach.clone());
                assert_eq!(grant.is_err(), is_refused, "{names}, {reach:?}");
                let Ok(grant) = grant else { continue };
                assert_eq!((grant.roles(), grant.reach()), (roles(&names), reach));
                assert!(grant.allows(role));
            }
        }
    }
}

#[test]
fn a_name_has_1_to_64_letters_digits_and_marks() {
    for name in ["a", "Z9", "crm.eu_west-1", &"x".repeat(64)] {
        let parsed: KeyName = name.parse().expect("a name");
        assert_eq!((parsed.as_str(), parsed.to_string().as_str()), (name, name));
        assert_eq!(KeyName::try_from(name.to_owned()), Ok(parsed));
    }
    for name in ["", " ", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
        let refusal = name.parse::<KeyName>().expect_err("it is no name");
        assert_eq!(refusal.field, "name", "{name:?}");
    }
}

#[test]
fn a_key_is_read_as_it_is_written_and_known_by_its_hash() {
    let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let written = format!("dataapi_{digits}");
    let secret: KeySecret = written.parse().expect("a key");
    assert_eq!(secret.to_string(), written);
    let bytes: Vec<u8> = (0..32).collect();
    assert_eq!(secret.hash().as_bytes(), blake3::hash(&bytes).as_bytes());
    assert_ne!(secret.hash(), KeySecret::from_bytes([7; 32]).hash());
    let refused = [
        String::new(),
        digits.to_owned(),
        format!("dataapi-{digits}"),
        format!("dataapi_{}", &digits[1..]),
        format!("dataapi_{digits}0"),
        format!("dataapi_{}g", &digits[1..]),
        format!("dataapi_{}é", &digits[2..]),
    ];
    for text in refused {
        let refusal: Invalid = text.parse::<KeySecret>().expect_err("it is no key");
        assert_eq!(refusal.field, "key");
        assert!(!refusal.to_string().contains(&digits[2..]), "a refusal never repeats a key");
    }
}

#[test]
fn neither_a_key_nor_its_hash_is_printed() {
    let secret = KeySecret::from_bytes([7; 32]);
    assert_eq!(format!("{secret:?}"), "KeySecret([redacted])");
    assert_eq!(format!("{:?}", secret.hash()), "KeyHash([redacted])");
}

#[test]
fn a_key_works_until_it_expires_or_is_revoked() {
    let new = |expires| NewKey {
        name: "name".parse().expect("a name"),
        grant: roles("read").into(),
        hash: KeySecret::from_bytes([7; 32]).hash(),
        expires,
    };
    let lasting = new(None).kept(date(1));
    assert!(lasting.works(date(1)) && lasting.works(Date::MAX));
    let expiring = new(Some(date(5))).kept(date(1));
    assert!(expiring.works(date(4)) && !expiring.works(date(5)) && !expiring.works(date(6)));
    for expires in [None, Some(date(5))] {
        let revoked = Key { revoked: Some(date(3)), ..new(expires).kept(date(1)) };
        assert!(!revoked.works(date(2)) && !revoked.works(date(4)) && !revoked.works(date(6)));
    }
}
